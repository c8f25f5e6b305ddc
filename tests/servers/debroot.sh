#!/usr/bin/env bash
# debroot.sh ROOT SUITE PROGRAM:... PACKAGE...
# Unpacks packages of another Debian suite with all their libraries, glibc included, into ROOT, and writes ROOT/bin/NAME
# for each PROGRAM, which starts it through ROOT's own dynamic linker. Nothing is installed and dpkg's state stays as it is.
# ROOT cannot be moved afterwards.
set -euo pipefail
root=$(realpath -m "$1") suite=$2 programs=$3
shift 3
work=$root.apt

# the mirror that this machine uses for Debian itself
# shellcheck disable=SC2016 # apt expands it
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 -E '/debian/?$' || true)}
[ -n "$mirror" ] || {
  echo "no Debian mirror in apt's configuration; DEBIAN_MIRROR may name one" >&2
  exit 1
}

rm -rf "$root" "$work"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$root/bin"
: >"$work/state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
options=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
  -o Dir::State="$work/state" -o Dir::State::lists="$work/state/lists" -o Dir::State::status="$work/state/status"
  -o Dir::Cache="$work/cache" -o APT::Install-Recommends=0 -o APT::Sandbox::User=root -o Acquire::Languages=none
  -o Acquire::Retries=3 -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
  -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false)
apt-get "${options[@]}" update

# Against an empty status file apt gives the whole closure, from libc up. What only maintainer scripts need stays out.
unneeded='perl|perl-base|perl-modules-.*|libperl.*|lib[a-z-]*-perl|libgdbm.*|libdb5.*|libc-gconv-modules-extra|openssl-provider-legacy'
unneeded+='|gcc-.*-base|debconf|dpkg|tar|systemd.*|libsystemd-shared|passwd|adduser|psmisc|lsof|rsync|socat|gawk|mawk|coreutils'
unneeded+='|util-linux|login.*|sysvinit-utils|init-system-helpers|galera-4'
apt-get "${options[@]}" -s install "$@" | awk '/^Inst /{print $2}' | grep -v -x -E "$unneeded" >"$work/want"
(cd "$work/cache/archives" && xargs apt-get "${options[@]}" download <"$work/want")
for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done

linker=$(find "$root" -name 'ld-linux-*.so.*' -not -type l | head -n 1)
libraries=$root/usr/lib/$(uname -m)-linux-gnu
IFS=: read -ra programs <<<"$programs"
for program in "${programs[@]}"; do
  wrapper=$root/bin/${program##*/}
  printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$linker" "$libraries" "$root/$program" >"$wrapper"
  chmod +x "$wrapper"
  "$wrapper" --version
done
rm -rf "$root"/usr/share/{doc,man,locale,bug,lintian,info} "$work"

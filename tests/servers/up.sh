#!/usr/bin/env bash
# up.sh [DIR]
# Installs and starts every server the tests use, each on a free port of 127.0.0.1 with its data under DIR (by default a
# new temporary folder), and prints the path of a file that exports their addresses: . "$(tests/servers/up.sh)"
# A server whose variable is set already (TIDEMARK_TEST_MARIADB, ...) is used as it is, and neither installed nor started.
# TIDEMARK_SERVERS_WITHOUT="mysql gcs" leaves optional ones out. Those not to be had are in TIDEMARK_TEST_UNAVAILABLE.
# When a required one fails, what was started is stopped again and nothing is printed. down.sh DIR stops everything.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if [ $# -gt 0 ]; then
  mkdir -p "$1"
  DIR=$(realpath "$1")
  [ ! -e "$DIR/env" ] || die "$DIR holds servers already; first: $HERE/down.sh $DIR"
else
  DIR=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-servers.XXXXXX")
  touch "$DIR/temporary"
fi
chmod 711 "$DIR" # the user postgres goes through it
touch "$DIR/starting" # down.sh removes it: whatever is still on its way up then goes down again

finished=''
at_exit() {
  [ -z "$finished" ] || return 0
  wait || true # a server on its way up is in nobody's list yet
  "$HERE/down.sh" "$DIR"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME: on a free port; on another one when somebody else took that first, which shows at once.
start() {
  local name=$1 port begin try tried=$SECONDS
  begin=$(date +%s%N)
  mkdir -p "$DIR/$name"
  for try in 1 2 3; do
    [ -e "$DIR/starting" ] || return 1
    port=$(free_ports 8)
    echo "$port" >"$DIR/$name/port"
    if "$HERE/$name.sh" start "$DIR/$name" "$port"; then
      if [ ! -e "$DIR/starting" ]; then break; fi
      say "  $name: port $port, started in $((($(date +%s%N) - begin) / 1000000)) ms"
      return 0
    fi
    "$HERE/$name.sh" stop "$DIR/$name"
    [ $((SECONDS - tried)) -lt 20 ] || break
  done
  "$HERE/$name.sh" stop "$DIR/$name"
  say "  $name did not start; tries: $try"
  mv "$DIR/$name" "$DIR/$name.failed"
  return 1
}

in_list() { [[ " ${*:2} " == *" $1 "* ]]; }

ours=() unavailable=()
for name in "${REQUIRED[@]}" "${OPTIONAL[@]}"; do
  variable=$(variable_of "$name")
  if [ -n "${!variable:-}" ]; then
    say "  $name: given, ${!variable}"
  elif in_list "$name" "${OPTIONAL[@]}" && in_list "$name" "${TIDEMARK_SERVERS_WITHOUT:-}"; then
    unavailable+=("$name")
  else
    ours+=("$name")
  fi
done

programs=()
for name in "${PROGRAMS[@]}"; do
  variable=$(variable_of "$name")
  if [ -n "${!variable:-}" ]; then
    say "  $name: given, ${!variable}"
  elif in_list "$name" "${TIDEMARK_SERVERS_WITHOUT:-}"; then
    unavailable+=("$name")
  else
    programs+=("$name")
  fi
done

"$HERE/install.sh" "${ours[@]}" "${programs[@]}"
for name in "${programs[@]}"; do
  [ -e "$CACHE/$name.ok" ] || unavailable+=("$name")
done

declare -A starting=()
for name in "${ours[@]}"; do
  if in_list "$name" "${OPTIONAL[@]}" && [ ! -e "$CACHE/$name.ok" ]; then
    unavailable+=("$name")
    continue
  fi
  start "$name" &
  starting[$name]=$!
done
failed=()
for name in "${!starting[@]}"; do
  wait "${starting[$name]}" && continue
  if in_list "$name" "${OPTIONAL[@]}"; then unavailable+=("$name"); else failed+=("$name"); fi
done
[ ${#failed[@]} = 0 ] || die "required, but not there: ${failed[*]}"

# The addresses, and what goes with them. What the caller gave stays as it is.
put() { printf 'export %s=%q\n' "$1" "${!1:-$2}" >>"$DIR/env.new"; }
put_server() { # NAME URL-BEFORE-PORT URL-AFTER-PORT
  local variable
  variable=$(variable_of "$1")
  if [ -n "${!variable:-}" ]; then put "$variable" ''; elif [ -e "$DIR/$1/port" ]; then put "$variable" "$2$(cat "$DIR/$1/port")$3"; fi
}
: >"$DIR/env.new"
put_server mariadb mysql://repl:replpw@127.0.0.1: /test
put_server mysql mysql://repl:replpw@127.0.0.1: /test
put_server postgres postgres://repl:replpw@127.0.0.1: /test
put_server postgres_new postgres://repl:replpw@127.0.0.1: /test
put_server s3 http://127.0.0.1: ''
put_server gcs http://127.0.0.1: ''
put_server mongo mongodb://127.0.0.1: '/?directConnection=true'
if [ -e "$DIR/mongo/port" ]; then
  port=$(cat "$DIR/mongo/port")
  put TIDEMARK_TEST_MONGO_AUTH "mongodb://repl:replpw@127.0.0.1:$((port + 1))/?directConnection=true&tls=true"
  put TIDEMARK_TEST_MONGO_ALONE "mongodb://127.0.0.1:$((port + 2))/?directConnection=true"
  put TIDEMARK_TEST_MONGO_SHORT "mongodb://127.0.0.1:$((port + 3))/?directConnection=true"
fi
for name in mariadb mysql postgres mongo; do
  [ ! -e "$DIR/$name/tls/ok" ] || put "$(variable_of "$name")_CA" "$DIR/$name/tls/ca.pem"
done
put TIDEMARK_TEST_S3_KEY AKTEST
put TIDEMARK_TEST_S3_SECRET SKTEST
put TIDEMARK_TEST_S3_BUCKET tidemark
put TIDEMARK_TEST_GCS_BUCKET tidemark
put TIDEMARK_TEST_PYTHON "$CACHE/python/bin/python"
for name in "${PROGRAMS[@]}"; do
  in_list "$name" "${unavailable[@]}" || put "$(variable_of "$name")" "$CACHE/$name/bin/$name"
done
put TIDEMARK_SERVERS "$CACHE"
# ours, unless all servers are the caller's
if [ ${#starting[@]} != 0 ]; then unset TIDEMARK_TEST_SERVERS_DIR; fi
put TIDEMARK_TEST_SERVERS_DIR "$DIR"
unset TIDEMARK_TEST_UNAVAILABLE
put TIDEMARK_TEST_UNAVAILABLE "${unavailable[*]}"

# shellcheck source=/dev/null
. "$DIR/env.new"
"$TIDEMARK_TEST_PYTHON" "$HERE/buckets.py"
mv "$DIR/env.new" "$DIR/env"
rm "$DIR/starting"
[ ${#unavailable[@]} = 0 ] || say "  unavailable: ${unavailable[*]}"
finished=1
echo "$DIR/env"

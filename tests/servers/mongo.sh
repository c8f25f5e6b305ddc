#!/usr/bin/env bash
# mongo.sh start DATADIR PORT | stop DATADIR | kill DATADIR
# SecantusDB, which speaks MongoDB's protocol, as a replica set of one on PORT. Beside it, for what one server cannot be at
# once: on PORT+1 one with TLS (DATADIR/tls) and users (mongo.py), on PORT+2 a server that is no replica set, on PORT+3 one
# that forgets changes after a few thousand newer ones.
# It is the program in Rust where that was built (install.sh mongo_fast), else the slower one in Python; MONGO_PROGRAM
# names one. MONGO_ONLY=1 starts the one on PORT alone. EXTRA="--option value ..." adds options to the server on PORT.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2")

program=${MONGO_PROGRAM:-}
for one in "$CACHE/mongo_fast/bin/secantusd-rs" "$CACHE/mongo/bin/secantusd-py"; do
  if [ -z "$program" ] && [ -x "$one" ]; then program=$one; fi
done

# serve PIDFILE DATA PORT OPTION...: unless it runs: restart.sh kill ends only the first
serve() {
  local pid=$1 data=$2 port=$3
  shift 3
  if running "$pid"; then return 0; fi
  mkdir -p "$data"
  # Otherwise a killed server has lost what it had confirmed; with this the system has it by then, if not the disk.
  echo 'transaction_sync=(enabled=true,method=none)' >"$data/WiredTiger.config"
  # by default it forgets changes after an hour, or after 100000 newer ones
  spawn "$pid" "$dir/log" "$program" --host 127.0.0.1 --port "$port" --storage-path "$data" \
    --oplog-max-entries 10000000 --oplog-retention-seconds 86400 "$@"
}

answers() { ready "$1" "$dir/log" 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$2"; }

start() {
  local port=$1 extra
  read -ra extra <<<"${EXTRA:-}"
  mkdir -p "$dir"
  cd "$dir" # it would take settings from a file where it starts
  certificates "$dir"
  serve "$dir/pid" "$dir/data" "$port" "${extra[@]}"
  if [ -n "${MONGO_ONLY:-}" ]; then
    answers "$dir/pid" "$port"
    return 0
  fi
  serve "$dir/pid.alone" "$dir/data.alone" $((port + 2)) --standalone
  serve "$dir/pid.short" "$dir/data.short" $((port + 3)) --oplog-max-entries 20
  if [ ! -f "$dir/users" ]; then
    # a server that asks for a login lets nobody make its first user
    rm -rf "$dir/data.auth"
    serve "$dir/pid.auth" "$dir/data.auth" $((port + 1))
    answers "$dir/pid.auth" $((port + 1))
    "$CACHE/mongo/bin/python" "$HERE/mongo.py" $((port + 1))
    stop "$dir/pid.auth"
    touch "$dir/users"
  fi
  serve "$dir/pid.auth" "$dir/data.auth" $((port + 1)) --auth --tls-cert-file "$dir/tls/server.pem" \
    --tls-key-file "$dir/tls/server.key" --tls-ca-file "$dir/tls/ca.pem"
  answers "$dir/pid" "$port"
  answers "$dir/pid.alone" $((port + 2))
  answers "$dir/pid.short" $((port + 3))
  answers "$dir/pid.auth" $((port + 1))
}

case $command in
start) start "$3" ;;
stop)
  for one in pid pid.alone pid.short pid.auth; do stop "$dir/$one" & done
  wait
  ;;
kill)
  for one in pid pid.alone pid.short pid.auth; do stop "$dir/$one" 5 KILL; done
  ;;
*) die "usage: $0 start DATADIR PORT | stop DATADIR | kill DATADIR" ;;
esac

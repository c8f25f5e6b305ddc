#!/usr/bin/env bash
# chaos.sh start DATADIR PORT TARGET_PORT | stop DATADIR
# A TCP proxy on PORT in front of TARGET_PORT that injects faults; it is told which over HTTP on PORT+1 (see chaosproxy.py):
#   curl -X POST 'http://127.0.0.1:PORT+1/set?down.latency_ms=50' ; .../set?down.cut_after=100000 ; .../set?blackhole=1 ; .../cut ; .../reset
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2")

case $command in
start)
  mkdir -p "$dir"
  spawn "$dir/pid" "$dir/log" python3 "$HERE/chaosproxy.py" "$3" "$4" $(($3 + 1))
  ready "$dir/pid" "$dir/log" 10 curl -sf "http://127.0.0.1:$(($3 + 1))/stats"
  ;;
stop) stop "$dir/pid" 3 ;;
*) die "usage: $0 start DATADIR PORT TARGET_PORT | stop DATADIR" ;;
esac

#!/usr/bin/env bash
# restart.sh NAME [kill]
# Restarts the server NAME on its port and data: after a polite stop, or with "kill" after SIGKILL. It is one that up.sh
# started in $TIDEMARK_TEST_SERVERS_DIR, or one of the compose file $TIDEMARK_TEST_COMPOSE.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=$1 how=${2:-stop}
dir=${TIDEMARK_TEST_SERVERS_DIR:-}/$name
if [ -e "$dir/port" ]; then
  if [ "$how" = kill ]; then stop "$dir/pid" 5 KILL; else "$HERE/$name.sh" stop "$dir"; fi
  "$HERE/$name.sh" start "$dir" "$(cat "$dir/port")"
elif [ -n "${TIDEMARK_TEST_COMPOSE:-}" ]; then
  docker compose -f "$TIDEMARK_TEST_COMPOSE" "$how" "$name"
  docker compose -f "$TIDEMARK_TEST_COMPOSE" up --wait "$name"
else
  die "up.sh did not start the server $name, so it cannot be restarted"
fi

#!/usr/bin/env bash
# restart.sh NAME [kill]
# Restarts the server NAME of $TIDEMARK_TEST_SERVERS_DIR on its port and data: after a polite stop, or with "kill" after SIGKILL.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
dir=$TIDEMARK_TEST_SERVERS_DIR/$1
[ -e "$dir/port" ] || die "the server $1 was not started by up.sh, so it cannot be restarted"
if [ "${2:-}" = kill ]; then stop "$dir/pid" 5 KILL; else "$HERE/$1.sh" stop "$dir"; fi
"$HERE/$1.sh" start "$dir" "$(cat "$dir/port")"

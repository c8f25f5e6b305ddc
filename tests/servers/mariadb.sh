#!/usr/bin/env bash
# mariadb.sh start DATADIR PORT | stop DATADIR | kill DATADIR
# Debian's MariaDB with a row binlog, global transaction ids, the login method ed25519 and TLS (DATADIR/tls).
# Users: mysql.sql; root without a password on DATADIR/socket. EXTRA="--option=value ..." adds server options.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2")

start() {
  local port=$1 extra
  read -ra extra <<<"${EXTRA:-}"
  mkdir -p "$dir" "$dir/tmp"
  certificates "$dir"
  # A server that starts deletes what it takes for leavings of temporary tables, also another server's.
  local base=(--no-defaults --user="$(id -un)" --datadir="$dir/data" --tmpdir="$dir/tmp"
    --plugin-dir="$CACHE/mariadb_plugins/usr/lib/mysql/plugin" --innodb-log-file-size=64M)
  if [ ! -f "$dir/users" ]; then
    rm -rf "$dir/data"
    mkdir -p "$dir/data"
    system_tables | mariadbd "${base[@]}" --bootstrap --silent-startup --log-warnings=0 >"$dir/install.log" 2>&1 ||
      die "MariaDB's system tables failed: $(tail -n 8 "$dir/install.log")"
  fi
  # The server's own zone is not UTC, so that a client that forgets to say its zone is found out.
  spawn "$dir/pid" "$dir/log" mariadbd "${base[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$dir/socket" \
    --pid-file="$dir/mariadbd.pid" --ssl-ca="$dir/tls/ca.pem" --ssl-cert="$dir/tls/server.pem" --ssl-key="$dir/tls/server.key" \
    --server-id=1 --log-bin=binlog --binlog-format=ROW --binlog-row-image=FULL --binlog-row-metadata=FULL \
    --log-slave-updates --gtid-strict-mode=ON --sync-binlog=0 --innodb-flush-log-at-trx-commit=2 \
    --innodb-buffer-pool-size=256M --max-allowed-packet=64M --character-set-server=utf8mb4 --local-infile=1 --plugin-load-add=auth_ed25519 \
    --default-time-zone=+05:30 --skip-name-resolve "${extra[@]}"
  local client=(mariadb --no-defaults --socket="$dir/socket" --user=root)
  ready "$dir/pid" "$dir/log" 90 "${client[@]}" -e 'SELECT 1'
  if [ ! -f "$dir/users" ]; then
    "${client[@]}" <"$HERE/mysql.sql"
    touch "$dir/users"
  fi
}

# What mariadb-install-db feeds to the server, without the packages that this script would need.
system_tables() {
  local share=/usr/share/mysql one
  printf '%s\n' 'CREATE DATABASE IF NOT EXISTS mysql;' 'USE mysql;' 'SET @auth_root_socket=NULL;'
  for one in mysql_system_tables mysql_performance_tables mysql_system_tables_data; do cat "$share/$one.sql"; done
  printf '%s\n' 'CREATE DATABASE IF NOT EXISTS sys;' 'USE sys;'
  cat "$share/mysql_sys_schema.sql"
}

case $command in
start) start "$3" ;;
stop) stop "$dir/pid" ;;
kill) stop "$dir/pid" 5 KILL ;;
*) die "usage: $0 start DATADIR PORT | stop DATADIR | kill DATADIR" ;;
esac

#!/usr/bin/env bash
# mysql.sh start DATADIR PORT | stop DATADIR | kill DATADIR
# Oracle's MySQL 9 as install.sh unpacked it, with a row binlog, GTIDs and TLS (DATADIR/tls). Users (caching_sha2_password):
# mysql.sql; root without a password on DATADIR/socket. EXTRA="--option=value ..." adds server options.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2") root=$CACHE/mysql

start() {
  local port=$1 extra
  read -ra extra <<<"${EXTRA:-}"
  mkdir -p "$dir" "$dir/tmp"
  certificates "$dir"
  local base=(--no-defaults --user="$(id -un)" --basedir="$root/usr" --datadir="$dir/data" --tmpdir="$dir/tmp" --lc-messages-dir="$root/usr/share/mysql"
    --plugin-dir="$root/usr/lib/mysql/plugin" --innodb-redo-log-capacity=128M --innodb-buffer-pool-size=256M)
  if [ ! -f "$dir/users" ]; then
    rm -rf "$dir/data"
    # noted like the server itself, because a polite signal does not end it
    spawn "$dir/install.pid" "$dir/install.log" "$root/bin/mysqld" "${base[@]}" --initialize-insecure
    while running "$dir/install.pid"; do sleep 0.05; done
    if [ ! -f "$dir/data/mysql.ibd" ] || grep -F '[ERROR]' "$dir/install.log" >&2; then die "MySQL's system tables failed"; fi
  fi
  # What a killed server leaves names its process, whose number may be somebody else's by now.
  running "$dir/pid" || rm -f "$dir/socket.lock"
  # The server's own zone is not UTC, so that a client that forgets to say its zone is found out.
  spawn "$dir/pid" "$dir/log" "$root/bin/mysqld" "${base[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$dir/socket" \
    --pid-file="$dir/mysqld.pid" --mysqlx=OFF --secure-file-priv= \
    --ssl-ca="$dir/tls/ca.pem" --ssl-cert="$dir/tls/server.pem" --ssl-key="$dir/tls/server.key" \
    --server-id=1 --log-bin=binlog --binlog-row-image=FULL --binlog-row-metadata=FULL --gtid-mode=ON \
    --enforce-gtid-consistency=ON --sync-binlog=0 --innodb-flush-log-at-trx-commit=2 --max-allowed-packet=64M --local-infile=1 \
    --default-time-zone=+05:30 --skip-name-resolve "${extra[@]}"
  local client=("$root/bin/mysql" --no-defaults --socket="$dir/socket" --user=root)
  ready "$dir/pid" "$dir/log" 90 "${client[@]}" -e 'SELECT 1'
  if [ ! -f "$dir/users" ]; then
    "${client[@]}" <"$HERE/mysql.sql"
    touch "$dir/users"
  fi
}

case $command in
start) start "$3" ;;
stop)
  stop "$dir/install.pid" 1
  stop "$dir/pid" 60
  ;;
kill) stop "$dir/pid" 5 KILL ;;
*) die "usage: $0 start DATADIR PORT | stop DATADIR | kill DATADIR" ;;
esac

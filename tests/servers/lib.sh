# shellcheck shell=bash disable=SC2034
# Shared by the server scripts; sourced, never run.
#   HERE    this folder
#   CACHE   where install.sh puts what it installs
umask 022 # other users run servers on files made here
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${TIDEMARK_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark/servers}

# Every server by the name of its script. A required one that cannot be had fails the run;
# an optional one is reported as unavailable and its tests are counted as not run.
# A new server is one script here, one install step, and its name in one of these lines.
REQUIRED=(mariadb postgres s3)
OPTIONAL=(mysql postgres_new gcs mongo)
# Programs that tests run beside them; optional too, with an install step and no script.
PROGRAMS=(airflow pgbouncer)

# variable_of NAME: the environment variable that holds a server's address.
variable_of() { echo "TIDEMARK_TEST_${1^^}"; }

say() { echo "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# started_at PID: the process's start time in clock ticks since boot; with the pid it names a process for good.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) } # the name may hold spaces and brackets
  [ "${stat:0:1}" != Z ] || return 1 # ended, but not reaped yet
  cut -d' ' -f20 <<<"$stat"
}

# spawn PIDFILE LOG COMMAND...: runs COMMAND in a session of its own, which notes "pid start-time" before anything else.
spawn() {
  local pidfile=$1 log=$2
  shift 2
  rm -f "$pidfile"
  export -f started_at
  # shellcheck disable=SC2016 # the inner shell expands it
  setsid bash -c 'echo "$$ $(started_at "$$")" >"$0.new" && mv "$0.new" "$0" && exec "$@"' "$pidfile" "$@" </dev/null >>"$log" 2>&1 &
  until [ -e "$pidfile" ]; do sleep 0.01; done
}

# running PIDFILE: true while the very process that spawn noted is alive.
running() {
  local pid start
  read -r pid start 2>/dev/null <"$1" || return 1
  [ "$(started_at "$pid")" = "$start" ]
}

# stop PIDFILE [SECONDS [SIGNAL]]: asks the noted process to end, and ends it hard after SECONDS.
stop() {
  local pidfile=$1 seconds=${2:-30} signal=${3:-TERM} pid _
  if running "$pidfile"; then
    read -r pid _ <"$pidfile"
    kill -s "$signal" "$pid" 2>/dev/null || true
    for _ in $(seq $((seconds * 20))); do
      running "$pidfile" || break
      sleep 0.05
    done
    if running "$pidfile"; then kill -s KILL "$pid" 2>/dev/null || true; fi
    while running "$pidfile"; do sleep 0.05; done
  fi
  rm -f "$pidfile"
}

# ready PIDFILE LOG SECONDS COMMAND...: waits until COMMAND succeeds; shows the log's end when it never does.
ready() {
  local pidfile=$1 log=$2 end=$((SECONDS + $3))
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ! running "$pidfile" || [ "$SECONDS" -ge "$end" ]; then
      say "$(basename "$0") is not ready; the end of $log:"
      tail -n 8 "$log" >&2
      return 1
    fi
    sleep 0.05
  done
}

# free_ports COUNT: the first of COUNT neighbouring ports that are free on 127.0.0.1, below the range that the
# system hands out to outgoing connections.
free_ports() {
  python3 - "$1" <<'PY'
import random, socket, sys

count = int(sys.argv[1])
for _ in range(1000):
    first = random.randrange(15000, 32000 - count)
    held = []
    try:
        for port in range(first, first + count):
            held.append(socket.socket())
            held[-1].bind(("127.0.0.1", port))
        print(first)
        break
    except OSError:
        continue
    finally:
        for one in held:
            one.close()
else:
    sys.exit("no free ports on 127.0.0.1")
PY
}

# certificates DIR: makes DIR/tls once: ca.pem; server.pem and .key for localhost and 127.0.0.1; client.pem and .key
# for the user cert. The server's certificate is not its own authority: strict clients refuse such a one.
certificates() {
  local tls=$1/tls one
  [ ! -f "$tls/ok" ] || return 0
  mkdir -p "$tls"
  printf '[server]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n[client]\nextendedKeyUsage=clientAuth\n' >"$tls/extensions"
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Tidemark test authority' \
      -keyout "$tls/ca.key" -out "$tls/ca.pem"
    for one in server:localhost client:cert; do
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${one#*:}" \
        -keyout "$tls/${one%:*}.key" -out "$tls/${one%:*}.csr"
      openssl x509 -req -days 3650 -in "$tls/${one%:*}.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial \
        -extfile "$tls/extensions" -extensions "${one%:*}" -out "$tls/${one%:*}.pem"
    done
  } >"$tls/log" 2>&1 || die "openssl made no certificates: $(tail -n 8 "$tls/log")"
  touch "$tls/ok"
}

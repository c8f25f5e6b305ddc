#!/usr/bin/env bash
# ./test.sh                    installs and starts the servers the tests need, runs every check and test, stops the servers
# ./test.sh --no-servers       only what needs no server
# ./test.sh [...] NAME...      only the tests whose names contain a NAME, and no checks
#
# It leaves alone what the caller set: CARGO_TARGET_DIR, TIDEMARK_SERVERS (where servers are installed), TIDEMARK_TEST_*
# (servers that run already: tests/servers/up.sh). Tests of the modules named like an optional server need that server; when
# it cannot be had they are counted as not run, and named. The exit code is 0 when nothing failed.
set -euo pipefail
cd "$(dirname "$0")"
set -m # each step is a process group of its own, which an interrupt ends as a whole

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidemark
if [ -z "${CARGO_TARGET_DIR:-}" ]; then
  if [ -d target/quick ]; then CARGO_TARGET_DIR=$PWD/target; else CARGO_TARGET_DIR=$cache/target; fi
fi
export CARGO_TARGET_DIR CARGO_NET_RETRY=3
PATH=$cache/tools/bin:$PATH
python=${TIDEMARK_SERVERS:-$cache/servers}/python/bin/python

servers=1 names=()
for argument in "$@"; do
  case $argument in
  --no-servers) servers='' ;;
  -h | --help) exec sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" ;;
  -*) echo "unknown option $argument; ./test.sh --help" >&2 && exit 2 ;;
  *) names+=("$argument") ;;
  esac
done

work=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test.XXXXXX")
job='' table=() notes=() without=() passed=0 failed=0 skipped=0 ran=0
chmod 711 "$work" # the user postgres goes through it

at_exit() {
  trap '' INT TERM
  if [ -n "$job" ]; then
    kill -s TERM -- "-$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
  fi
  [ ! -d "$work/servers" ] || tests/servers/down.sh "$work/servers" || true
  rm -rf "$work"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run COMMAND...: as a job, so that an interrupt does not wait for it; its output is in $work/log too.
run() {
  local code=0
  { "$@" 2>&1 | tee "$work/log"; } </dev/null &
  job=$!
  wait "$job" || code=$?
  job=''
  return "$code"
}

# note_step NAME RESULT BEGIN: a line of the closing table
note_step() { table+=("$(printf '%-12s %-8s %5s s' "$1" "$2" "$((SECONDS - $3))")"); }

# check NAME COMMAND...: a step that passes or fails as a whole
check() {
  local name=$1 begin=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if run "$@"; then
    passed=$((passed + 1))
    note_step "$name" ok "$begin"
  else
    failed=$((failed + 1))
    note_step "$name" FAILED "$begin"
    return 1
  fi
}

# tests NAME COMMAND...: a step of tests, which are counted one by one
tests() {
  local name=$1 begin=$SECONDS result=ok good bad
  shift
  printf '\n== %s\n' "$name"
  run "$@" || result=FAILED
  # the closing lines of nextest ("Summary [..] 5 tests run: 4 passed, 1 failed") and of cargo test ("test result: ..")
  read -r good bad < <(sed -E 's/\x1b\[[0-9;]*m//g' "$work/log" | awk '
    /^ *Summary \[.*tests? run:/ || /^test result:/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) good += $i
        if ($(i + 1) ~ /^failed/ || $(i + 1) $(i + 2) ~ /^(timedout|execfailed)/) bad += $i
      }
    }
    END { print good + 0, bad + 0 }')
  # a runner that failed without a failed test failed itself
  if [ "$result" = FAILED ] && [ "$bad" = 0 ]; then bad=1; fi
  passed=$((passed + good)) failed=$((failed + bad)) ran=$((ran + good + bad))
  note_step "$name" "$result" "$begin"
}

cargo_deny() {
  cargo deny --version 2>/dev/null && return 0
  # unoptimised it is there in a fraction of the time, and fast enough
  CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR=$cache/tools/build cargo install cargo-deny --version 0.20.2 --locked --debug \
    --quiet --root "$cache/tools" && rm -rf "$cache/tools/build"
}

deny() { cargo_deny && cargo deny check licenses bans sources; }

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose config -q || return 1; fi
  "$python" tests/servers/compose.py docker-compose.yml "${python%/python/bin/python}/compose/compose/config/compose_spec.json"
}

# The README's first command: twice, because the second time it picks up what has changed since.
demo() {
  cargo run --profile quick --quiet -- demo --dir "$work/demo" && cargo run --profile quick --quiet -- demo --dir "$work/demo"
}

begin=$SECONDS
if [ ${#names[@]} = 0 ]; then
  check install tests/servers/install.sh shellcheck || true
  check fmt cargo fmt --all --check || true
  check clippy cargo clippy --profile quick --all-targets --all-features --locked -- -D warnings || true
  check deny deny || true
  if timeout 120 cargo deny fetch db >/dev/null 2>&1; then
    check advisories cargo deny check advisories || true
  else
    notes+=("advisories were not checked: their database cannot be reached from here")
  fi
  check shellcheck shellcheck -x -P SCRIPTDIR test.sh .ci/run tests/servers/*.sh || true
  check compose compose || true
fi

if check build cargo test --profile quick --no-run --locked; then
  if [ -n "$servers" ]; then
    if check servers tests/servers/up.sh "$work/servers"; then
      # shellcheck source=/dev/null
      . "$work/servers/env"
      read -ra without <<<"$TIDEMARK_TEST_UNAVAILABLE"
    else
      servers=''
      notes+=("without the servers no test of tests/live ran")
    fi
  fi

  if cargo nextest --version >/dev/null 2>&1; then
    filter='all()'
    [ -n "$servers" ] || filter+=' - binary(live)'
    for one in "${without[@]}"; do filter+=" - (binary(live) & test(/(^|::)$one::/))"; done
    tests tests cargo nextest run --cargo-profile quick --no-fail-fast --no-tests=pass -E "$filter" "${names[@]}"
  else
    tests tests cargo test --profile quick --no-fail-fast --lib --bins --test it -- "${names[@]}"
    skip=()
    for one in "${without[@]}"; do skip+=(--skip "$one::"); done
    if [ -n "$servers" ]; then tests live cargo test --profile quick --no-fail-fast --test live -- "${skip[@]}" "${names[@]}"; fi
  fi
  tests doctests cargo test --profile quick --doc -- "${names[@]}"
  if [ "$ran" = 0 ]; then
    failed=$((failed + 1))
    notes+=("no test ran${names[*]:+: none has a name like ${names[*]}}")
  fi

  if [ "$failed" != 0 ] && [ -n "$servers" ]; then
    mkdir -p "$CARGO_TARGET_DIR/server-logs"
    for one in "$work"/servers/*/log; do
      name=${one%/log}
      cp "$one" "$CARGO_TARGET_DIR/server-logs/${name##*/}.log"
    done
    notes+=("the servers' logs: $CARGO_TARGET_DIR/server-logs" "free on the disk: $(df -h --output=avail "$work" | tail -n 1 | tr -d ' ')")
  fi
  for one in "${without[@]}"; do
    mapfile -t missed < <(cargo test --profile quick --quiet --test live -- --list "${names[@]}" 2>/dev/null |
      sed -n -E "s/^((.*::)?$one::.*): test$/\1/p")
    skipped=$((skipped + ${#missed[@]}))
    notes+=("$one is unavailable, so ${#missed[@]} tests did not run:" "${missed[@]/#/  }")
  done
  if [ ${#names[@]} = 0 ]; then check demo demo || true; fi
fi

printf '\n%-12s %-8s %7s\n' step result time
printf '%s\n' "${table[@]}" "$(printf '%-12s %-8s %5s s' all '' "$((SECONDS - begin))")"
printf '%s\n' "${notes[@]}"
line="$passed passed, $failed failed"
if [ "$skipped" != 0 ]; then line+=", $skipped skipped"; fi
if [ ${#without[@]} != 0 ]; then line="$(IFS=_ && echo "${without[*]}")_unavailable: $line"; fi
echo "$line"
[ "$failed" = 0 ]

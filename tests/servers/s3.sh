#!/usr/bin/env bash
# s3.sh start DATADIR PORT | stop DATADIR
# SeaweedFS as an S3 service on PORT, which needs the seven ports after it too. Keys (s3-keys.json): AKTEST/SKTEST may do
# everything, AKRO/SKRO may only read. EXTRA="-option=value ..." adds server options.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
command=$1 dir=$(realpath -m "$2")

start() {
  local port=$1 extra
  read -ra extra <<<"${EXTRA:-}"
  mkdir -p "$dir/data"
  echo "$port" >"$dir/port"
  cd "$dir"
  # Without -master.peers=none the start waits for peers, 4 to 20 seconds. By default it refuses to write, with 500, where
  # less than a hundredth of the disk is free, which is much of a large one.
  spawn "$dir/pid" "$dir/log" "$CACHE/s3/bin/weed" -logtostderr=true server -dir="$dir/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.port=$((port + 1)) -master.port.grpc=$((port + 4)) -master.peers=none -master.volumeSizeLimitMB=256 \
    -volume.port=$((port + 2)) -volume.port.grpc=$((port + 5)) -volume.max=100 -volume.preStopSeconds=0 \
    -volume.minFreeSpace=256MiB \
    -filer -filer.port=$((port + 3)) -filer.port.grpc=$((port + 6)) \
    -s3 -s3.port="$port" -s3.port.grpc=$((port + 7)) -s3.port.iceberg=0 -s3.port.lance=0 -s3.autoCreateBucket=false \
    -s3.config="$HERE/s3-keys.json" "${extra[@]}"
  ready "$dir/pid" "$dir/log" 90 answers "$port"
}

# The gateway answers before the store behind it is there: a list of buckets, and a volume to write to.
answers() {
  [[ $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$1/") =~ ^(200|403)$ ]] &&
    curl -sf "http://127.0.0.1:$(($1 + 1))/dir/assign"
}

case $command in
start) start "$3" ;;
stop)
  stop "$dir/pid" 1 # its volumes close within a second; after that it only waits 15 seconds for itself
  if [ -e "$dir/port" ]; then # sockets that it always makes there, and leaves behind
    port=$(cat "$dir/port")
    for one in $(seq "$port" $((port + 7))); do rm -f /tmp/seaweedfs-*-"$one".sock; done
  fi
  ;;
*) die "usage: $0 start DATADIR PORT | stop DATADIR" ;;
esac

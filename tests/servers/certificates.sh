#!/usr/bin/env bash
# certificates.sh DIR      DIR/NAME/tls for each server of docker-compose.yml that speaks TLS
set -euo pipefail
. "$(dirname "$0")/lib.sh"
for name in mariadb mysql postgres; do
  certificates "$1/$name"
  chmod 644 "$1/$name/tls/server.key" # whichever user the container runs as has to read it
done

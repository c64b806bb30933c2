#!/usr/bin/env bash
# A full drill: backups of three nodes under a write load, the last one restored
# as a new cluster, and the two compared: digest, count, each claim of the load,
# random claims, what lenses answer. Prints times, sizes, and what a backup does to
# the p99 of writes. Everything is started here and removed at the end.
#
#   scripts/backup-drill.sh [--claims 500000] [--writers 4] [--rounds 5] [--samples 500]
#                           [--quiet 3s] [--max-ratio 0]
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p bin
go build -o bin/backup-drill ./internal/backupdrill/cmd # not go run: it would not pass a signal on
exec bin/backup-drill "$@"

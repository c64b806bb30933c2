#!/usr/bin/env bash
# Takes a backup into a new folder stemedb-backup-YYYYMMDD-HHMMSS (UTC):
#
#   scripts/backup-stemedb.sh [--output DIR] [--wal-only] [--url URL] [--api-key KEY] [--ca FILE] [--data-dir DIR]
#
# A running cluster is backed up through the API of the node at --url (STEMEDB_URL,
# default http://localhost:18180) with an admin key (STEMEDB_API_KEY). Where no node
# answers there, and a data directory is given (--data-dir, STEMEDB_DATA_DIR), its
# files are: those of a node that is stopped.
#
#   --output DIR   folder of backups, ./backups by default, or s3://BUCKET/PREFIX
#   --wal-only     only the log after the last backup in that folder; refused if
#                  the log does not reach back that far. Without a full backup
#                  there: all that the log still holds. With nothing new in the
#                  log: says so, and exits with 0
#
# docs/backup.md has the rest. The exit codes are those of stemectl, or of stemedb.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
tool() {
  if [ -x "$here/bin/$1" ]; then
    echo "$here/bin/$1"
  else
    command -v "$1" || { echo "$0: $1 is neither in $here/bin nor in PATH: run make build" >&2; return 1; }
  fi
}
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

output=./backups
log=()
api=()
data=${STEMEDB_DATA_DIR:-}
while [ $# -gt 0 ]; do
  case $1 in
    --wal-only) log=(--log-only); shift; continue ;;
    -h|--help) usage; exit 0 ;;
    --output|--url|--api-key|--ca|--data-dir) ;;
    *) echo "$0: $1 is not known" >&2; usage >&2; exit 2 ;;
  esac
  [ $# -gt 1 ] || { echo "$0: $1 needs a value" >&2; exit 2; }
  case $1 in
    --output) output=$2 ;;
    --data-dir) data=$2 ;;
    *) api+=("$1" "$2") ;;
  esac
  shift 2
done

stemectl=$(tool stemectl)
# A node that answers at all is asked, also one that is not ready: it says why.
if [ -z "$data" ] || "$stemectl" live "${api[@]}" >/dev/null 2>&1; then
  exec "$stemectl" backup create --dir "$output" "${log[@]}" "${api[@]}"
fi
stemedb=$(tool stemedb)
echo "no node answers: backing up the files of the stopped node in $data" >&2
exec "$stemedb" backup --data-dir "$data" --output "$output" "${log[@]}"

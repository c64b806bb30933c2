#!/usr/bin/env bash
# Makes the data directory of a stopped node of a backup: a new cluster of that
# node alone, which the others join when they start with empty data directories.
#
#   scripts/restore-stemedb.sh BACKUP [--data-dir DIR] [--force]
#                              [--to-index N | --to-time TIME] [flags of stemedb serve]
#
# BACKUP is a folder stemedb-backup-YYYYMMDD-HHMMSS: of a full backup, or of a log
# backup beside those that it builds on; or s3://BUCKET/PREFIX/NAME. The data directory (STEMEDB_DATA_DIR) must
# be empty, and no server may use it; --force renames one that is not empty and
# never removes anything. Everything is read and checked first. An interrupted
# restore leaves what was there before, or is recognised and must be run again.
#
# Give the name and the node-to-node address that the node will have: --node-id,
# --cluster-addr, --advertise-addr, or their variables (docs/settings.md).
# docs/backup.md has the rest.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
if [ -x "$here/bin/stemedb" ]; then stemedb=$here/bin/stemedb; else
  stemedb=$(command -v stemedb) || { echo "$0: stemedb is neither in $here/bin nor in PATH: run make build" >&2; exit 1; }
fi
case ${1:-} in
  ''|-h|--help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
    [ $# -gt 0 ] || exit 2
    exit 0 ;;
esac
exec "$stemedb" restore "$@"

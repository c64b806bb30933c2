#!/usr/bin/env bash
# Runs every row of the checklist in uat/production-readiness/README.md, writes a
# dated report (Markdown and JSON) below results/ there, and makes the quick
# reference and the archive of that page anew. Exit code 0: every row is green,
# 1: a row is red, 2: the command line is wrong or it could not run.
#
#   scripts/verify-production-readiness.sh [--row NAME]... [--list] [--self-test] [--page]
#       [--load-duration 30s] [--results FOLDER] [--verbose]
#
# --self-test puts a fault into a copy of the tree for each row and sees the row's
# own command notice it; it writes no report. Needs what `make test` needs, strace
# and, for the row alerts, Debian's apt-get. Nothing else should run meanwhile: the
# rows of load are held to times, and the row port takes 127.0.0.1:18180.
set -euo pipefail

cd "$(dirname "$0")/.."
case ${1:-} in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
mkdir -p bin
go build -o bin/verify-production-readiness ./internal/readiness/cmd # not go run: it would not pass a signal on
exec bin/verify-production-readiness "$@"

#!/usr/bin/env bash
# Runs load tests and writes dated results: NAME.md, NAME.json and NAME.html below
# uat/production-readiness/results/. Without --api-url it starts three nodes of its
# own, if the disk has room (20 GB for an hour of 1,000 claims a second).
#
#   scripts/run-load-test.sh [--scenario NAME[,NAME…]] [flags of bin/load-test]
#
# Without --scenario: baseline, sustained, concurrent. LOAD_TEST_DURATION, such as
# 1h, is how long sustained runs (5m by default), or the one scenario that is named;
# LOAD_TEST_RESULTS names another folder for the results. Nodes of its own keep their data in bin/,
# since folders for temporary files may be in memory; --dir names another one. The
# exit code is that of bin/load-test.
set -euo pipefail

cd "$(dirname "$0")/.."
scenarios=baseline,sustained,concurrent
flags=(--dir bin)
while [ $# -gt 0 ]; do
  case $1 in
    --scenario) scenarios=${2:?--scenario: name one}; shift 2 ;;
    --scenario=*) scenarios=${1#*=}; shift ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) flags+=("$1"); shift ;;
  esac
done
case ${LOAD_TEST_DURATION:+$scenarios} in
  '') ;;
  all | *,*) flags+=(--duration "sustained=$LOAD_TEST_DURATION") ;;
  *) flags+=(--duration "$LOAD_TEST_DURATION") ;;
esac
folder=${LOAD_TEST_RESULTS:-uat/production-readiness/results}

make --no-print-directory build
mkdir -p "$folder"
result=$folder/$(date -u +%Y-%m-%d-load-test-%H%M%S)
bin/load-test --scenario "$scenarios" --output table --output "$result.md" --output "$result.json" --output "$result.html" "${flags[@]}" &
test=$!
# It must end the nodes that it started before this script ends.
trap 'kill "$test" 2>/dev/null || true; wait "$test" || true; exit 143' INT TERM
code=0
wait "$test" || code=$?
[ ! -e "$result.md" ] || echo "results: $result.md, .json, .html"
exit "$code"

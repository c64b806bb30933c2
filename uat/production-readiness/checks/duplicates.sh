#!/usr/bin/env bash
# The same claims three times, the last time after kill -9: they are there once.
source "$(dirname "$0")/node.sh"

ingest() { bin/pharma-ingest --with-conflicts --format json --keyring "$work/keys" --api-url "$url" >"$work/ingest" || fail "pharma-ingest: $(tail -n 3 "$work/ingest")"; }
summary() { sed -n '/"summary"/,$p' "$work/ingest" | field "$1"; }

start
ingest
claims=$(summary claims)
[ "$claims" -gt 0 ] || fail "pharma-ingest has sent nothing"
same "claims created at first" "$(summary created)" "$claims"
same "the number of claims" "$(get /v1/health | field assertions_count)" "$claims"
ingest
same "claims that were there the second time" "$(summary exists)" "$claims"
same "the number of claims after the second time" "$(get /v1/health | field assertions_count)" "$claims"
crash
start
ingest
same "claims that were there after kill -9" "$(summary exists)" "$claims"
same "the number of claims after kill -9" "$(get /v1/health | field assertions_count)" "$claims"
echo "$claims claims were sent three times and are there once"

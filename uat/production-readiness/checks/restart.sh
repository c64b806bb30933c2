#!/usr/bin/env bash
# After kill -9 and a restart a node has the same count, the same digest and the
# same answers.
source "$(dirname "$0")/node.sh"
# What the node learns by itself would be an entry at any time.
export STEMEDB_TRUST_INTERVAL=1h STEMEDB_TRUTH_INTERVAL=1h

# registered waits until the node's key for receipts, an entry that comes by itself
# after the start, is in the log.
registered() {
  local deadline=$((SECONDS + 60))
  until [ -n "$(get /v1/cluster/keys | found '"key":')" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "the node's key is not in the log: $(get /v1/cluster/keys)"
    sleep 0.1
  done
}

state() {
  answers=$(get '/v1/query?subject=Semaglutide&limit=1000' | found '"hash": *"[0-9a-f]*"' | sort) # linearizable: the log is replayed
  cluster=$(get /v1/cluster)
  count=$(get /v1/health | field assertions_count) digest=$(field digest <<<"$cluster")
}

start
registered
bin/pharma-ingest --with-conflicts --keyring "$work/keys" --api-url "$url" >"$work/ingest" || fail "pharma-ingest: $(tail -n 3 "$work/ingest")"
state
before_count=$count before_digest=$digest before_answers=$answers
[ "$count" -gt 0 ] && [ -n "$answers" ] || fail "nothing was stored"
crash
start
state
same "the number of claims after kill -9" "$count" "$before_count"
same "the digest after kill -9" "$digest" "$before_digest"
same "what is claimed about Semaglutide after kill -9" "$answers" "$before_answers"
echo "$count claims, digest $digest before and after kill -9"

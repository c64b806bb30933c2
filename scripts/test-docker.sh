#!/usr/bin/env bash
# Starts the three containers of docker-compose.yml, stores a claim through one
# node, kills the leader's container, reads the claim on both others, starts the
# killed one again and reads it there. Cleans up after itself, and fails where
# there is no Docker engine. STEMEDB_IMAGE names the image (make image).
set -euo pipefail

cd "$(dirname "$0")/.."
export STEMEDB_IMAGE=${STEMEDB_IMAGE:?name the image, or run this by make test-docker}
# Ports of its own, so that a cluster on the usual ones does not disturb it.
export STEMEDB_PORT_1=28180 STEMEDB_PORT_2=28190 STEMEDB_PORT_3=28200
export STEMEDB_ROOT_API_KEY=${STEMEDB_ROOT_API_KEY:-$(openssl rand -hex 32)}
export STEMEDB_API_KEY=$STEMEDB_ROOT_API_KEY # of the clients below
ports=("$STEMEDB_PORT_1" "$STEMEDB_PORT_2" "$STEMEDB_PORT_3")
project=stemedb-test-$$

fail() { echo "test-docker: $*" >&2; exit 1; }

docker info >/dev/null 2>&1 || fail "no Docker engine answers: start one, or check that you may use it"
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  fail "neither 'docker compose' nor 'docker-compose' is installed"
fi
compose+=(-p "$project" -f docker-compose.yml)

work=$(mktemp -d)
cleanup() {
  status=$?
  if [ "$status" -ne 0 ]; then
    "${compose[@]}" ps || true
    "${compose[@]}" logs --no-color --tail=50 || true
  fi
  "${compose[@]}" down --volumes --timeout 5 >"$work/down.log" 2>&1 || cat "$work/down.log" >&2
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT

# until_ok SECONDS COMMAND...: repeats the command until it succeeds.
until_ok() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

url() { echo "http://127.0.0.1:${ports[$1 - 1]}"; }
ready() { curl -fsS --max-time 2 "$(url "$1")/readyz"; }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$("${compose[@]}" ps -q "node$1")")" = healthy ]; }
has_claim() { curl -fsS --max-time 10 -H "X-API-Key: $STEMEDB_API_KEY" "$(url "$1")/v1/assertions/$hash" | grep -q "$hash"; }
leads() { curl -fsS --max-time 2 "$(url "$1")/v1/health" | grep -Eq '"role": *"leader"'; }
some_leader() { for n in 1 2 3; do leads "$n" && leader=$n && return 0; done; return 1; }

echo "--- three containers of $STEMEDB_IMAGE"
"${compose[@]}" up -d
for n in 1 2 3; do
  until_ok 60 ready "$n" || fail "node$n is not ready after a minute"
  until_ok 60 healthy "$n" || fail "the health check of node$n does not pass"
done
until_ok 30 some_leader || fail "no node leads"
some_leader

echo "--- no answer without a key"
status=$(curl -sS --max-time 10 -o /dev/null -w '%{http_code}' "$(url 1)/v1/query")
[ "$status" = 401 ] || fail "a query without a key is answered with $status"
keyed() { curl -fsS --max-time 10 -H "X-API-Key: $STEMEDB_API_KEY" "$(url 1)/v1/keys"; }
until_ok 30 keyed || fail "the root key is not accepted"

echo "--- a claim through node1 (node$leader leads)"
hash=$(docs/examples/sign-with-openssl.sh "$(url 1)" | sed -n 's/.*"hash": *"\([0-9a-f]\{64\}\)".*/\1/p')
[ -n "$hash" ] || fail "no hash in the answer"
echo "$hash"

echo "--- kill the leader's container"
docker kill "$("${compose[@]}" ps -q "node$leader")" >/dev/null
for n in 1 2 3; do
  [ "$n" -ne "$leader" ] || continue
  until_ok 30 has_claim "$n" || fail "the claim cannot be read on node$n"
  echo "node$n has it"
done

echo "--- start it again"
"${compose[@]}" up -d --no-recreate >/dev/null 2>&1 || "${compose[@]}" start "node$leader"
until_ok 60 ready "$leader" || fail "node$leader is not ready again after a minute"
until_ok 30 has_claim "$leader" || fail "the claim cannot be read on node$leader"
echo "node$leader has it"
echo "--- passed"

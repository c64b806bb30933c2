#!/usr/bin/env bash
# Runs docker-compose.yml with images that were made here: three nodes, HAProxy,
# Prometheus and Alertmanager. Through HAProxy it ingests with a key and asks;
# then it kills the leader under writes, tells the longest gap, and starts it
# again. internal/containertest breaks every node in every way, restarts and
# upgrades them one after the other. Cleans up after itself, and fails where there
# is no Docker engine.
# STEMEDB_IMAGE names the image of the nodes (make image).
set -euo pipefail

cd "$(dirname "$0")/.."
export STEMEDB_IMAGE=${STEMEDB_IMAGE:?name the image, or run this by make test-docker}

fail() { echo "test-docker: $*" >&2; exit 1; }

for tool in nsenter iptables; do
  command -v $tool >/dev/null || fail "$tool is not installed: it partitions the containers' network"
done
docker info >/dev/null 2>&1 || fail "no Docker engine answers: start one, or check that you may use it"
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  fail "neither 'docker compose' nor 'docker-compose' is installed"
fi
scripts/debian-images.sh
# What a later release will be, and a build that breaks its word on reads.
variant() { # suffix, build tags
  CGO_ENABLED=0 go build -trimpath -tags "$2" -o "bin/$1/bin/" ./cmd/stemedb ./cmd/stemectl
  mkdir -p "bin/$1/bin/data"
  docker build -q -f deploy/Dockerfile -t "stemedb-test/node-$1" "bin/$1" >/dev/null
  rm -r "bin/$1"
}
variant next stemedb_next_format
variant unsafe stemedb_next_format,stemedb_unsafe_reads
# Not go run: the shell must be able to wait for it, and to end it.
go build -o bin/ ./internal/writegap ./internal/dashboards/cmd/panelcheck

work=$(mktemp -d)
# Ports, a network and secrets of its own, so that a cluster on the usual ones
# does not disturb it. An .env file of this folder must not either.
export STEMEDB_PORT_1=28180 STEMEDB_PORT_2=28190 STEMEDB_PORT_3=28200 STEMEDB_BIND=127.0.0.1
export STEMEDB_HTTPS_PORT=28443 STEMEDB_STATS_PORT=28404 STEMEDB_PROMETHEUS_PORT=29090 STEMEDB_ALERTMANAGER_PORT=29093
export STEMEDB_SUBNET=172.29.84.0/24 STEMEDB_SECRETS=$work/secrets
ports=("$STEMEDB_PORT_1" "$STEMEDB_PORT_2" "$STEMEDB_PORT_3")
project=stemedb-test-$$
compose+=(-p "$project" -f docker-compose.yml -f deploy/docker-compose.local-images.yml)

gap=
cleanup() {
  status=$?
  [ -z "$gap" ] || kill "$gap" 2>/dev/null || true
  if [ "$status" -ne 0 ]; then
    "${compose[@]}" ps || true
    "${compose[@]}" logs --no-color --tail=50 || true
  fi
  "${compose[@]}" --profile alertmanager down --volumes --timeout 5 >"$work/down.log" 2>&1 || cat "$work/down.log" >&2
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

scripts/compose-secrets.sh >/dev/null
STEMEDB_API_KEY=$(cat "$STEMEDB_SECRETS/root-api-key")
export STEMEDB_API_KEY # of the clients below
ca=$STEMEDB_SECRETS/http-ca.pem
front=https://localhost:$STEMEDB_HTTPS_PORT
prometheus=http://127.0.0.1:$STEMEDB_PROMETHEUS_PORT

url() { echo "http://127.0.0.1:${ports[$1 - 1]}"; }
ask() { curl -sS --max-time 10 --cacert "$ca" "$@"; }
keyed() { ask -f -H "X-API-Key: $STEMEDB_API_KEY" "$@"; }
code() { ask -o /dev/null -w '%{http_code}' "$@"; }
container() { "${compose[@]}" ps -q "$1"; }
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container "$1")")" = healthy ]; }
leads() { curl -fsS --max-time 2 "$(url "$1")/v1/health" | grep -Eq '"role": *"leader"'; }
some_leader() { for n in 1 2 3; do leads "$n" && leader=$n && return 0; done; return 1; }
# query EXPRESSION: the values that Prometheus answers, one a line.
query() {
  curl -fsS --max-time 10 -G "$prometheus/api/v1/query" --data-urlencode "query=$1" |
    grep -o '"value":\[[^]]*\]' | sed 's/.*,"\(.*\)"\]/\1/'
}
says() { [ "$(query "$1")" = "$2" ]; }

echo "--- the stack, nodes of $STEMEDB_IMAGE"
"${compose[@]}" --profile alertmanager up -d
for n in 1 2 3; do
  until_ok 90 healthy "node$n" || fail "the health check of node$n does not pass"
done
until_ok 30 some_leader || fail "no node leads"
through_proxy() { [ "$(code "$front/readyz")" = 200 ]; }
until_ok 30 through_proxy || fail "HAProxy does not answer"
root_key() { keyed "$front/v1/keys"; }
until_ok 30 root_key || fail "the root key is not accepted"

echo "--- what is closed: no key, metrics through HAProxy, the file system, privileges"
[ "$(code "$front/v1/query")" = 401 ] || fail "a query without a key is answered with $(code "$front/v1/query")"
for path in /metrics //metrics /metrics/ /%6detrics; do
  [ "$(code --path-as-is "$front$path")" = 404 ] || fail "HAProxy passes $path on"
done
for n in 1 2 3; do
  [ "$(docker inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$(container "node$n")")" = "10001:10001 true [ALL]" ] ||
    fail "node$n is not confined as it should be"
done
# A node believes HAProxy, and HAProxy drops what the client says.
ask -H "X-Forwarded-For: 203.0.113.9" -H "X-Request-Id: who-is-it" "$front/v1/query" >/dev/null
logged() { line=$("${compose[@]}" logs --no-color node1 node2 node3 | grep who-is-it) && line=${line%%$'\n'*}; }
until_ok 30 logged || fail "the request is not logged"
gateway=${STEMEDB_SUBNET%.*}.1 # what connections from this machine come from
[[ $line == *"\"remote\":\"$gateway\""* ]] || fail "the request's address is not logged as $gateway: $line"

echo "--- ingest through HAProxy with a write key, and ask"
write_key=$(bin/stemectl --url "$front" --ca "$ca" keys create --name ingest --role write -o json | sed -n 's/.*"secret": *"\([^"]*\)".*/\1/p')
[ -n "$write_key" ] || fail "no key was made"
knows_key() { [ "$(code -H "X-API-Key: $write_key" "$(url "$1")/v1/lenses")" = 200 ]; }
for n in 1 2 3; do
  until_ok 30 knows_key "$n" || fail "node$n does not know the new key"
done
STEMEDB_API_KEY=$write_key SSL_CERT_FILE=$ca bin/pharma-ingest --with-conflicts --api-url "$front" --keyring "$work/keys" | tail -1
answer=$(keyed "$front/v1/skeptic?subject=Semaglutide&predicate=nausea_rate")
grep -q '"status":"Contested"' <<<"$answer" || fail "skeptic answers $answer"
sed -n 's/.*\("status":"Contested","conflict_score":[0-9.]*\).*/\1/p' <<<"$answer"

echo "--- Prometheus"
targets_up() { says 'count(up{job="stemedb"} == 1)' 3 && says 'up{job="haproxy"}' 1; }
until_ok 60 targets_up || fail "Prometheus does not see three nodes and HAProxy"
echo "three nodes and HAProxy are up"

# write_through ACTION...: writes through HAProxy, ACTION, writes for five seconds more.
write_through() {
  mkfifo "$work/until"
  bin/writegap --url "$front" --ca "$ca" <"$work/until" >"$work/gap" &
  gap=$!
  exec 9>"$work/until"
  until_ok 60 grep -q writing "$work/gap" || fail "no writes"
  sleep 2
  "$@"
  sleep 5
  exec 9>&-
  wait "$gap" || fail "writes through HAProxy failed"
  gap=
  rm "$work/until"
  sed -n 's/^longest/    longest/p' "$work/gap"
}
setting() { keyed "$front/v1/admin/settings" | grep -o "\"name\": *\"$1\", *\"value\": *\"[^\"]*\"" | sed 's/.*"\(.*\)"$/\1/'; }
settings="settings:"
for name in raft-heartbeat-timeout raft-election-timeout raft-leader-lease shutdown-delay disk-timeout; do
  value=$(setting "$name")
  [ -n "$value" ] || fail "the setting $name is not told"
  settings+=" $name $value;"
done
echo "$settings HAProxy: $(sed -n 's/.*default-server check \(.*\) maxconn.*/\1/p' deploy/haproxy/haproxy.cfg)"
echo "goals: SIGTERM under 50 ms, SIGKILL under 1200 ms"

until_ok 30 some_leader || fail "no node leads"
echo "--- SIGTERM to the leader, node$leader, while eight writers write"
write_through docker stop -t 30 "$(container "node$leader")"
stopped=$leader
"${compose[@]}" --profile alertmanager up -d --no-recreate >/dev/null 2>&1
until_ok 90 healthy "node$stopped" || fail "node$stopped is not healthy again"

until_ok 30 some_leader || fail "no node leads"
echo "--- SIGKILL to the leader, node$leader, while eight writers write"
write_through docker kill "$(container "node$leader")"
killed=$leader
fires() { curl -fsS --max-time 5 "$prometheus/api/v1/alerts" | grep -q "\"alertname\":\"$1\""; }
until_ok 30 fires StemedbNodeDown || fail "Prometheus does not notice the dead node"
until_ok 30 fires StemedbQuorumAtRisk || fail "Prometheus does not notice the risk"

echo "--- start it again"
"${compose[@]}" --profile alertmanager up -d --no-recreate >/dev/null 2>&1
until_ok 90 healthy "node$killed" || fail "node$killed is not healthy again"
caught_up() {
  says 'count(up{job="stemedb"} == 1)' 3 && says 'max(stemedb_sync_lag_entries)' 0 && says 'min(stemedb_sync_converged)' 1 &&
    says 'max(stemedb_applied_index) - min(stemedb_applied_index)' 0 && says 'min(stemedb_cluster_voters_alive)' 3
}
until_ok 60 caught_up || fail "the cluster does not converge"
says 'max(stemedb_sync_divergence_total)' 0 || fail "the nodes diverge"
count=$(query 'max(stemedb_assertions_total)')
echo "lag 0, converged 1, $count claims on each node"

echo "--- every fault of every node, a rolling restart, a rolling upgrade"
STEMEDB_TEST_COMPOSE="${compose[*]}" STEMEDB_TEST_FRONT=$front STEMEDB_TEST_CA=$ca STEMEDB_TEST_NODES="$(url 1) $(url 2) $(url 3)" \
  STEMEDB_TEST_IMAGES="stemedb-test/node-next stemedb-test/node-unsafe" go test -count=1 -v -timeout 15m ./internal/containertest
echo "--- every panel's query"
bin/panelcheck --prometheus "$prometheus" docs/grafana/*.json
echo "--- passed"

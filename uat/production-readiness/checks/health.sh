#!/usr/bin/env bash
# GET /v1/health tells what the node is and how many claims it holds; /livez and
# /readyz answer 200, as probes want it.
source "$(dirname "$0")/node.sh"

start
same "the number of claims of a new node" "$(get /v1/health | field assertions_count)" 0
for i in 1 2 3; do
  claim alice --subject Semaglutide --predicate nausea_rate --number "$i" --source "study $i" >/dev/null
done
health=$(get /v1/health)
same "the status" "$(field status <<<"$health")" ok
same "the role" "$(field role <<<"$health")" leader
same "the number of claims" "$(field assertions_count <<<"$health")" 3
same "livez" "$(get /livez | field alive)" true
same "readyz" "$(get /readyz | field ready)" true
echo "$health"

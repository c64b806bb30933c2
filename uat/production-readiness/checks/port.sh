#!/usr/bin/env bash
# A node that is given a data folder and nothing else answers on 127.0.0.1:18180,
# where stemectl looks for it too. The port must be free.
source "$(dirname "$0")/node.sh"

for port in 18180 18182 18183; do
  ! open $port || fail "127.0.0.1:$port is taken by another process: end it, or run this where no node runs"
done
url=http://127.0.0.1:18180
serve
same "the node that answers on 18180" "$(get /v1/health | field node)" readiness
same "the node that stemectl finds" "$(bin/stemectl cluster status -o json | field node)" readiness
echo "a node with a data folder alone answers on 127.0.0.1:18180"

#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml in deploy/secrets/ (or STEMEDB_SECRETS),
# those that are missing: the root API key, the gossip key, Grafana's password, an
# authority and certificates for the nodes, another for HAProxy. Arguments are the
# host names and addresses by which clients reach HAProxy, beside localhost.
# `make build` comes first. To renew certificates, remove them and run it again.
set -euo pipefail

cd "$(dirname "$0")/.."
dir=${STEMEDB_SECRETS:-deploy/secrets}
umask 077
mkdir -p "$dir"
chmod 700 "$dir" # keeps the other users of this machine out

for name in root-api-key gossip-key grafana-password; do
  [ -s "$dir/$name" ] || openssl rand -hex 32 > "$dir/$name"
done

# Whoever shows a certificate of the nodes' authority on the node port is a node.
# HAProxy's is of another, which clients are given.
for authority in ca http-ca; do
  [ -s "$dir/$authority/ca-key.pem" ] || bin/stemedb certs ca --out "$dir/$authority" --name "StemeDB $authority"
done
for node in node1 node2 node3; do
  [ -s "$dir/$node.pem" ] || bin/stemedb certs node --force --ca "$dir/ca" --name "$node" --host "$node" --out "$dir"
done
if [ ! -s "$dir/haproxy.pem" ]; then
  hosts=()
  for host in localhost 127.0.0.1 "$@"; do hosts+=(--host "$host"); done
  bin/stemedb certs node --force --ca "$dir/http-ca" --name haproxy "${hosts[@]}" --out "$dir/http-ca"
  cat "$dir/http-ca/haproxy.pem" "$dir/http-ca/haproxy-key.pem" > "$dir/haproxy.pem"
fi
cp "$dir/http-ca/ca.pem" "$dir/http-ca.pem"

# Containers run as users of their own and read these through a bind mount, which
# shows the owner and mode of this machine. The folder's mode protects them here.
chmod 644 "$dir"/*.pem "$dir/root-api-key" "$dir/gossip-key" "$dir/grafana-password"

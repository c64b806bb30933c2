#!/usr/bin/env bash
# Checks the alert rules, their unit tests, and the configurations of Prometheus,
# Alertmanager and HAProxy with the programs that read them.
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/debian-programs.sh
cache=$PWD/.cache/debian

"$cache/prometheus/root/usr/bin/promtool" check config deploy/prometheus/prometheus.yml
(cd deploy/prometheus && "$cache/prometheus/root/usr/bin/promtool" test rules rules_test.yml)
"$cache/alertmanager/root/usr/bin/amtool" check-config deploy/alertmanager/alertmanager.yml

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat "$work/cert.pem" "$work/key.pem" > "$work/haproxy.pem"
sed "s#/run/secrets#$work#" deploy/haproxy/haproxy.cfg > "$work/haproxy.cfg"
libraries=$cache/haproxy/root/lib/x86_64-linux-gnu:$cache/haproxy/root/usr/lib/x86_64-linux-gnu
# The names of the nodes resolve in their network only, which it warns of.
"$cache/haproxy/root/lib64/ld-linux-x86-64.so.2" --library-path "$libraries" "$cache/haproxy/root/usr/sbin/haproxy" -c -f "$work/haproxy.cfg" 2>"$work/log" >&2 ||
  { cat "$work/log" >&2; exit 1; }
if grep WARNING "$work/log" | grep -v 'could not resolve address'; then exit 1; fi
echo "HAProxy accepts deploy/haproxy/haproxy.cfg"

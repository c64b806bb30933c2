#!/usr/bin/env bash
# Looks for known vulnerabilities that the module can reach, by govulncheck at a
# pinned version. Fails on findings. Where the database of vulnerabilities cannot
# be reached it says so and ends with 0: nothing was checked then.
set -euo pipefail

cd "$(dirname "$0")/.."
version=v1.9.0
tool=$PWD/.cache/govulncheck-$version/govulncheck
[ -x "$tool" ] || GOBIN=$(dirname "$tool") go install "golang.org/x/vuln/cmd/govulncheck@$version"

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
"$tool" ./... >"$output" 2>&1 || status=$?
cat "$output"
# 3 is findings; 1 any error, of which only this one may pass.
if [ "$status" -eq 1 ] && grep -q '^govulncheck: fetching vulnerabilities: .*\(no such host\|dial tcp\|TLS handshake timeout\|i/o timeout\|connection refused\|network is unreachable\|proxyconnect\|deadline exceeded\)' "$output"; then
  echo "SKIPPED: the vulnerability database cannot be reached, so that nothing was checked" >&2
  exit 0
fi
exit "$status"

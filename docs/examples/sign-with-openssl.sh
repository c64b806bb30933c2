#!/usr/bin/env bash
# Signs one claim and stores it, with curl and openssl (3.0 or later) alone.
# Usage: sign-with-openssl.sh API_URL      e.g. http://127.0.0.1:18180
# Where the cluster wants an API key, STEMEDB_API_KEY holds it.
set -euo pipefail

url=${1:?usage: sign-with-openssl.sh API_URL}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

hex() { od -An -v -tx1 "$@" | tr -d ' \n'; }
unhex() { printf "$(sed 's/../\\x&/g')"; }
member() { sed -n "s/.*\"$1\": *\"\([0-9a-f]*\)\".*/\1/p"; }
post() { curl -sS --fail-with-body -H "X-API-Key: ${STEMEDB_API_KEY:-}" -H 'Content-Type: application/json' --data-binary "@$2" "$url$1"; }

# An agent is an Ed25519 key. Keep the file: it is the agent's identity. The
# public key is the last 32 bytes of its DER form.
openssl genpkey -algorithm ed25519 -out agent.pem
agent=$(openssl pkey -in agent.pem -pubout -outform DER | tail -c 32 | hex)

# The claim, without signatures. source_hash names the source; here it is the
# BLAKE3 hash of the text https://doi.org/10.1056/NEJMoa2032183.
cat > claim.json <<JSON
{
  "subject": "Semaglutide",
  "predicate": "nausea_rate",
  "object": {"type": "Number", "value": 44.2},
  "confidence": 0.9,
  "source_class": "Clinical",
  "source_hash": "ffba22bd527f8a7dc9edc38ad189b7ed4fe1a8046c284e09fb14007de5934d3c",
  "timestamp": $(date +%s)
JSON
{ cat claim.json; echo '}'; } > unsigned.json

# The node answers {"hash", "content", "sign"}, all hexadecimal; "sign" are the
# 32 bytes that the signature covers.
post /v1/assert/prepare unsigned.json > prepared.json
member sign < prepared.json | unhex > message.bin

openssl pkeyutl -sign -rawin -inkey agent.pem -in message.bin -out signature.bin

# The same claim again, now signed.
{
  cat claim.json
  echo ", \"signatures\": [{\"agent_id\": \"$agent\", \"signature\": \"$(hex signature.bin)\"}]}"
} > signed.json
post /v1/assert signed.json | tee answer.json
echo

# The claim is stored under the hash that was announced.
test "$(member hash < answer.json)" = "$(member hash < prepared.json)"

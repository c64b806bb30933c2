# Sourced by the checks beside it: one node on loopback with data of its own, which
# ends with the check. $url is its API; the work is done at the root of the
# repository, with programs built of it.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
for name in $(compgen -e STEMEDB_ || true) $(compgen -e STEMECTL_ || true); do unset "$name"; done
work=$(mktemp -d)
node=
cleanup() {
  [ -z "$node" ] || { kill -KILL "$node" 2>/dev/null || true; wait "$node" 2>/dev/null || true; }
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' INT TERM

fail() {
  echo "FAILED: $*" >&2
  [ ! -s "$work/log" ] || { echo "the node's last lines:" >&2; tail -n 5 "$work/log" >&2; }
  exit 1
}

# open PORT: something listens on it.
open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# pick sets $base to the first of three free ports.
pick() {
  local tries
  for tries in $(seq 50); do
    base=$((20000 + (RANDOM + tries) % 1190 * 10))
    if ! open $base && ! open $((base + 2)) && ! open $((base + 3)); then return; fi
  done
  fail "no free ports were found between 20000 and 32000"
}

# serve FLAG...: starts the node and waits until it is ready at $url.
serve() {
  STEMEDB_DATA_DIR=$work/data bin/stemedb serve --node-id readiness "$@" >>"$work/log" 2>&1 &
  node=$!
  local deadline=$((SECONDS + 60))
  until curl -fsS "$url/readyz" >/dev/null 2>"$work/curl"; do
    kill -0 "$node" 2>/dev/null || fail "the node has ended by itself"
    [ "$SECONDS" -lt "$deadline" ] || fail "nothing answers on ${url#http://} that is ready: $(cat "$work/curl")"
    sleep 0.1
  done
}

# start: a node on ports that are free.
start() { serve --http-addr "127.0.0.1:$base" --cluster-addr "127.0.0.1:$((base + 2))" --gossip-addr "127.0.0.1:$((base + 3))"; }

# crash: kill -9.
crash() {
  kill -KILL "$node"
  wait "$node" 2>/dev/null || true
  node=
}

get() { curl -fsS "$url$1" || fail "GET $1"; }

# found PATTERN: what matches it on standard input, nothing if nothing does.
found() { grep -o "$1" || [ $? = 1 ]; }

# field NAME: its first value in the JSON on standard input, a text without quotes.
field() { found "\"$1\": *\(\"[^\"]*\"\|[^,}]*\)" | head -n 1 | sed 's/^"[^"]*": *//; s/^"//; s/"$//'; }

# same WHAT GOT WANT
same() { [ "$2" = "$3" ] || fail "$1 is $2, want $3"; }

# claim KEY FLAG...: signs and stores a claim, and prints the answer. KEY is made if
# it is not there.
claim() {
  local key=$work/$1.pem
  shift
  [ -e "$key" ] || bin/stemectl keys generate "$key" >/dev/null
  bin/stemectl assert --url "$url" -o json --key "$key" "$@" || fail "stemectl assert $*"
}

make --no-print-directory build >"$work/build" 2>&1 || { cat "$work/build" >&2; fail "the programs do not build"; }
pick
url=http://127.0.0.1:$base

#!/usr/bin/env bash
# Shows a real three-node cluster at work: conflicting claims in, resolved and
# contested answers out, the leader killed, nothing lost. `make demo` builds the
# programs first.
set -euo pipefail

cd "$(dirname "$0")/.."
# Not go run: that would not pass a signal on, and the demo would not clean up.
go build -o bin/demo ./internal/demo
exec bin/demo --bin bin

#!/usr/bin/env bash
# Imports the flights data set of the Raha project (dirty.csv, clean.csv) into a
# three-node cluster of its own and prints three figures: the number of claims,
# how often consensus agrees with the known answers, and the AUC of the
# skeptic's disagreement. Exits 1 if one is outside of what is expected.
#
#   scripts/flights-eval.sh [FOLDER]
set -euo pipefail

cd "$(dirname "$0")/.."
exec go run ./internal/flightseval/cmd --data "${1:-../shared/data/flights-small}"

#!/usr/bin/env bash
# Claims that stemectl, and curl with openssl, have signed are stored, and read back
# by their hashes as they were.
source "$(dirname "$0")/node.sh"

start
answer=$(claim alice --subject Semaglutide --predicate nausea_rate --number 44.2 --class Clinical --source trial --confidence 0.9)
same "the status of a new claim" "$(field status <<<"$answer")" created
hash=$(field hash <<<"$answer")
stored=$(get "/v1/assertions/$hash")
same "the claim's subject" "$(field subject <<<"$stored")" Semaglutide
same "the claim's value" "$(field value <<<"$stored")" 44.2
same "the claim's confidence" "$(field confidence <<<"$stored")" 0.9
same "the version of its signature" "$(field version <<<"$stored")" 2

answer=$(docs/examples/sign-with-openssl.sh "$url") || fail "a claim that openssl has signed: $answer"
same "the status of a claim that openssl has signed" "$(field status <<<"$answer")" created
get "/v1/assertions/$(field hash <<<"$answer")" >/dev/null
same "the number of claims" "$(get /v1/health | field assertions_count)" 2
echo "two claims were stored and read back: $hash and $(field hash <<<"$answer")"

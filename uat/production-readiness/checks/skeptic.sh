#!/usr/bin/env bash
# GET /v1/skeptic: one value is unanimous, two that are equally supported contest
# the question as far as possible.
source "$(dirname "$0")/node.sh"

start
at=$(date +%s)
claim alice --subject Semaglutide --predicate nausea_rate --number 15.8 --class Clinical --source one --confidence 0.9 --timestamp "$at" >/dev/null
answer=$(get '/v1/skeptic?subject=Semaglutide&predicate=nausea_rate')
same "the status of one value" "$(field status <<<"$answer")" Unanimous
same "its conflict score" "$(field conflict_score <<<"$answer")" 0
claim bob --subject Semaglutide --predicate nausea_rate --number 44.2 --class Clinical --source two --confidence 0.9 --timestamp "$at" >/dev/null
answer=$(get '/v1/skeptic?subject=Semaglutide&predicate=nausea_rate')
same "the status of two values" "$(field status <<<"$answer")" Contested
same "their conflict score" "$(field conflict_score <<<"$answer")" 1
same "the share of each" "$(field share <<<"$answer")" 0.5
echo "one value: Unanimous, 0; two of equal support: Contested, 1"

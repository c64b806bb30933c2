#!/usr/bin/env bash
# GET /v1/query gives the claims on a subject and predicate, and no others; a lens
# resolves them.
source "$(dirname "$0")/node.sh"

start
claim alice --subject Semaglutide --predicate nausea_rate --number 15.8 --class Regulatory --source label --confidence 0.9 >/dev/null
claim bob --subject Semaglutide --predicate nausea_rate --number 44.2 --class Community --source forum --confidence 0.9 >/dev/null
claim bob --subject Semaglutide --predicate half_life_days --number 7 --class Clinical --source study >/dev/null
claim bob --subject Metformin --predicate nausea_rate --number 9.6 --class Clinical --source study >/dev/null

values() { found '"value": *[0-9.]*' | sed 's/.*[: ]//' | sort -n | paste -sd ' '; }
same "what is claimed about Semaglutide" "$(get '/v1/query?subject=Semaglutide' | values)" "7 15.8 44.2"
same "its nausea rates" "$(get '/v1/query?subject=Semaglutide&predicate=nausea_rate' | values)" "15.8 44.2"
same "what is claimed about a stranger" "$(get '/v1/query?subject=Nobody' | values)" ""
winner=$(get '/v1/query?subject=Semaglutide&predicate=nausea_rate&lens=authority' | found '"winner": *{[^}]*}' | values)
same "the nausea rate by authority" "$winner" 15.8
echo "claims are found by subject and predicate; the lens authority answers $winner"

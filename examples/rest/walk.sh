#!/bin/sh
# Creates an infrastructure through the REST service, scales it, looks at it, destroys it.
#   occopus-import ../quickstart/nodes.yaml
#   occopus-rest-service --parallelize &
#   ./walk.sh infra.yaml NODE       (TOKEN=... where the service asks for one)
set -eu
base=${OCCOPUS_URL:-http://127.0.0.1:5000}
call() { curl --silent --show-error --fail-with-body ${TOKEN:+-H "Authorization: Bearer $TOKEN"} "$@"; echo; }

answer=$(call -X POST "$base/infrastructures/" --data-binary "@$1")
id=$(printf %s "$answer" | sed 's/.*"infraid": *"\([^"]*\)".*/\1/')
echo "created $id"
call -X POST "$base/infrastructures/$id/scaleup/$2"
call "$base/infrastructures/$id"
call "$base/infrastructures/$id/events"
call -X DELETE "$base/infrastructures/$id"

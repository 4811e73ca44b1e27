#!/bin/sh
# Creates an infrastructure through the REST service, waits until it is built, scales it, looks at it, destroys it.
#   occopus-import ../quickstart/nodes.yaml
#   occopus-rest-service --parallelize &
#   ./walk.sh ../quickstart/infra.yaml web     (TOKEN=... where the service asks for one)
set -eu
base=${OCCOPUS_URL:-http://127.0.0.1:5000}
call() { curl --silent --show-error --fail-with-body ${TOKEN:+-H "Authorization: Bearer $TOKEN"} "$@"; echo; }
await() { for _ in $(seq 120); do call "$base/infrastructures/$id/events" | grep -q "$1" && return; sleep 1; done; exit 1; }

curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused --output /dev/null "$base/readyz"
answer=$(call -X POST "$base/infrastructures/" --data-binary "@$1")
id=$(printf %s "$answer" | sed 's/.*"infraid": *"\([^"]*\)".*/\1/')
echo "created $id"
await '"infrastructure ready"'
call -X POST "$base/infrastructures/$id/scaleup/$2"
await '"scale applied"'
call "$base/infrastructures/$id"
call "$base/infrastructures/$id/events"
call -X DELETE "$base/infrastructures/$id"

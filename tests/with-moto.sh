#!/usr/bin/env bash
# Runs the tests that need S3 and SQS servers which no one here wrote: moto's, in a virtual environment of its own.
# Needs Python 3.11 or later, and a package registry the first time. Takes further arguments for the tests, or with --run another
# command, which gets the address of the server as its last argument; with --install it only installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${CARGO_TARGET_DIR:-target}/moto
pinned=tests/with-moto.txt
if ! cmp --silent "$pinned" "$venv/pinned"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$pinned"
    cp "$pinned" "$venv/pinned"
fi
[[ ${1:-} != --install ]] || exit 0

# Built before there is a server, and with the features that all of the workspace takes: what `cargo test --workspace` has
# built is not built again.
tests=(--workspace --test moto --test moto_queues --test on_moto)
cargo test --locked "${tests[@]}" --profile "${PROFILE:-ci}" --no-run

port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
log=$(mktemp)
"$venv/bin/python" tests/with-moto.py -H 127.0.0.1 -p "$port" >"$log" 2>&1 &
moto=$!
stop() {
    kill "$moto" 2>/dev/null || true
    wait "$moto" 2>/dev/null || true
    rm -f "$log" "$log.out"
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
export ARCHIPELAGO_TEST_S3="http://127.0.0.1:$port" ARCHIPELAGO_TEST_CFN_LINT="$(realpath "$venv")/bin/cfn-lint"
export AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true
timeout 540 cargo test --locked "${tests[@]}" --profile "${PROFILE:-ci}" -- --color never "$@" | tee "$log.out"
# Nor may there be none of them.
ran=$(grep -c '^test result: ok\. [1-9][0-9]* passed' "$log.out" || true)
rm -f "$log.out"
if ((ran < ($# ? 1 : 3))); then
    echo "not all tests have run against moto" >&2
    exit 1
fi

#!/usr/bin/env bash
# How many requests does the server answer in a second, and how long do they take, beside a redis-server that does GET and INCR over the
# same loopback for as many clients, unpipelined? Needs wrk, redis-server and redis-benchmark. Prints a table, and whether GET reaches
# half of redis and POST a third. Builds the command, with the features that are given as arguments, or takes what `ARCHIPELAGO` names.
set -euo pipefail
cd "$(dirname "$0")/../.."

clients=${CLIENTS:-64} seconds=${SECONDS_EACH:-10} profile=${PROFILE:-release}
if [[ -z ${ARCHIPELAGO:-} ]]; then
    cargo build --locked -p cli --profile "$profile" "$@"
    ARCHIPELAGO=${CARGO_TARGET_DIR:-target}/$profile/archipelago
fi
command=$(realpath "$ARCHIPELAGO")

folder=$(mktemp -d)
server= redis=
stop() {
    for process in $server $redis; do
        kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap stop EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$folder" >"$folder/redis" 2>&1 &
redis=$!
(cd "$folder" && "$command" init >/dev/null)
(cd "$folder" && exec "$command" serve --listen 127.0.0.1:0 --json) >"$folder/out" &
server=$!
until grep -q url "$folder/out" && redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$folder/out")

operation='{"op":"add","kind":"pn_counter","path":"likes","by":1}'
curl --silent --fail "${url}v1/ops" -H 'content-type: application/json' -d "$operation" >/dev/null
cat >"$folder/post.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '$operation'
LUA

# Requests a second and the 99th percentile in milliseconds.
wrk_of() {
    local out
    out=$(wrk --threads 2 --connections "$clients" --duration "${seconds}s" --latency "$@")
    if grep -q 'Non-2xx' <<<"$out"; then
        echo "$out" >&2
        exit 1
    fi
    awk '/Requests\/sec/ {rate = $2} $1 == "99%" {p99 = $2} END {
        unit = p99; sub(/[0-9.]+/, "", unit); sub(/[a-z]+/, "", p99)
        print rate, unit == "us" ? p99 / 1000 : unit == "s" ? p99 * 1000 : p99 }' <<<"$out"
}
redis_of() {
    redis-benchmark -p "$port" -c "$clients" -n "${REDIS_REQUESTS:-500000}" -t "$1" --csv | awk -F'","' 'NR == 2 {print $2, $7}'
}

read -r get get_p99 < <(wrk_of "${url}v1/objects/likes")
read -r post post_p99 < <(wrk_of --script "$folder/post.lua" "${url}v1/ops")
read -r redis_get redis_get_p99 < <(redis_of get)
read -r redis_incr redis_incr_p99 < <(redis_of incr)
counted=$(curl --silent --fail "${url}v1/objects/likes")
python3 - "$get" "$get_p99" "$post" "$post_p99" "$redis_get" "$redis_get_p99" "$redis_incr" "$redis_incr_p99" "$clients" "$counted" <<'PY'
import json, os, sys
get, get99, post, post99, rget, rget99, rincr, rincr99 = map(float, sys.argv[1:9])
print(f"{sys.argv[9]} connections, {os.cpu_count()} cores shared with the clients, load {os.getloadavg()[0]:.1f}\n")
print("| what | a second | p99 | of redis |\n|---|---|---|---|")
print(f"| `GET /v1/objects/likes` | {get:,.0f} | {get99:.2f} ms | {get / rget:.2f} |")
print(f"| redis GET | {rget:,.0f} | {rget99:.2f} ms | |")
print(f"| `POST /v1/ops`, one add | {post:,.0f} | {post99:.2f} ms | {post / rincr:.2f} |")
print(f"| redis INCR | {rincr:,.0f} | {rincr99:.2f} ms | |")
# Every request that was answered has counted, and so has at most one more of each connection.
value = json.loads(sys.argv[10])["values"][0]["value"]
print(f"\ncounted: {value:,}")
print("GET reaches half of redis:", get >= rget / 2, " POST a third:", post >= rincr / 3)
PY

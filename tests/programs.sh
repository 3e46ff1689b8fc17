#!/usr/bin/env bash
# Builds the programs, with the features that the tests take, so that little is left to build behind them. Not with `--bins`: that of
# versus would build all peers, which are only checked (docs/decisions/0026-the-peers-are-only-checked.md).
set -euo pipefail
cd "$(dirname "$0")/.."

programs=()
for program in archipelago chaos engine_table leaderboard s3_table sim table todo; do programs+=(--bin "$program"); done
cargo build --locked --workspace "${programs[@]}" --tests --profile "${PROFILE:-ci}"

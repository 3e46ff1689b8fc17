#!/usr/bin/env bash
# Has a server run into the end of a real disk: one of a megabyte in memory, in namespaces of its own, so that no rights are needed
# where Linux lets a user have them. Needs unshare and Python 3.11. The command is built before, with the features that the tests take.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PROFILE:-ci}
PROFILE=$profile tests/programs.sh
export ARCHIPELAGO="${CARGO_TARGET_DIR:-target}/$profile/archipelago" PYTHONPATH=benches/http PYTHONDONTWRITEBYTECODE=1
if ! unshare --map-root-user --mount true; then
    echo "no disk can be mounted here: it takes root, or a Linux that lets users have namespaces" >&2
    exit 1
fi
timeout 120 unshare --map-root-user --mount python3 tests/with-full-disk.py

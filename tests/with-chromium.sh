#!/usr/bin/env bash
# Runs the tests that need a browser: the page of the server and those of the examples, in headless Chromium, driven by
# playwright-core. Needs Node.js 20 or later, and a package registry the first time. Chromium is installed where it is missing, on
# Debian and its like and as root or with sudo; `CHROMIUM` names another. The programs are built before, with the features that the
# tests take. Takes names of tests (`page`, `todo`), else runs all; or --picture, to make that of the README anew, which needs pngquant; with
# --install it only installs what it needs.
# Screenshots are left in the folder that the last line names.
set -euo pipefail
cd "$(dirname "$0")/.."

chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [[ -z $chromium ]]; then
    as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo --non-interactive)
    apt() { timeout 300 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet "$@" >&2; }
    if ! { command -v apt-get >/dev/null && apt update && apt install --yes --no-install-recommends chromium fonts-dejavu-core; }; then
        echo "there is no Chromium, and it cannot be installed here: install one, or set CHROMIUM" >&2
        exit 1
    fi
    chromium=$(command -v chromium)
fi

target=$(realpath "${CARGO_TARGET_DIR:-target}")
tools=$target/browser
locked=tests/browser/package-lock.json
if ! cmp --silent "$locked" "$tools/locked"; then
    rm -rf "$tools"
    mkdir -p "$tools"
    cp tests/browser/package.json "$locked" "$tools"
    timeout 300 npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$tools"
    cp "$locked" "$tools/locked"
fi
[[ ${1:-} != --install ]] || exit 0

profile=${PROFILE:-ci}
PROFILE=$profile tests/programs.sh
export PROGRAMS="$target/$profile" CHROMIUM="$chromium" SCREENSHOTS="$target/screenshots"
export PLAYWRIGHT="$tools/node_modules/playwright-core/index.mjs"
rm -rf "$SCREENSHOTS"
mkdir -p "$SCREENSHOTS"
if [[ ${1:-} == --picture ]]; then
    PICTURE=1 timeout 600 node tests/browser/demo.mjs
    pngquant --force --strip --speed 1 --output docs/page.png 96 "$SCREENSHOTS/demo.png"
    exit
fi
if (($# == 0)); then
    set -- demo leaderboard page todo
fi
# What is waited for comes in seconds. The bound is for a machine that is busy, and for what never comes.
for name in "$@"; do
    timeout 600 node "tests/browser/$name.mjs"
done
echo "screenshots: $SCREENSHOTS"

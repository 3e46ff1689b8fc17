#!/usr/bin/env bash
# Runs the tests that need a browser: the page of the server in headless Chromium, driven by playwright-core, which is installed
# beside the build. Needs Node.js 20 or later and Chromium (`CHROMIUM` says where, if not in the path), and a package registry
# the first time. The command is built before, with the features that the tests take. Screenshots are left in the folder that
# the last line names.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath "${CARGO_TARGET_DIR:-target}")
tools=$target/browser
version=1.65.1
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [[ -z $chromium ]]; then
    echo "there is no Chromium: install one, or set CHROMIUM" >&2
    exit 1
fi
if [[ $(cat "$tools/version" 2>/dev/null) != "$version" ]]; then
    rm -rf "$tools"
    mkdir -p "$tools"
    npm install --silent --no-audit --no-fund --prefix "$tools" "playwright-core@$version"
    echo "$version" >"$tools/version"
fi

profile=${PROFILE:-ci}
cargo build --locked --workspace --bins --tests --profile "$profile"
export ARCHIPELAGO="$target/$profile/archipelago" CHROMIUM="$chromium" SCREENSHOTS="$tools/screenshots"
export PLAYWRIGHT="$tools/node_modules/playwright-core/index.mjs"
mkdir -p "$SCREENSHOTS"
timeout 300 node tests/browser/page.mjs
timeout 120 node tests/browser/demo.mjs
echo "screenshots: $SCREENSHOTS"

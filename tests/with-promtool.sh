#!/usr/bin/env bash
# Has promtool read the rules for alarms, and play what they are about: each fires and clears. Takes a promtool that is there, and else,
# on Debian and its like, that of the package prometheus, which is unpacked and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(realpath "${CARGO_TARGET_DIR:-target}")/promtool
promtool=$(command -v promtool || echo "$tools/usr/bin/promtool")
if [[ ! -x $promtool ]]; then
    mkdir -p "$tools"
    # A machine that has never asked what there is has to ask first, which takes root.
    fetch() { (cd "$tools" && timeout 300 apt-get --quiet --quiet download prometheus >&2); }
    as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo --non-interactive)
    if ! { command -v apt-get >/dev/null && { fetch || { timeout 300 "${as_root[@]}" apt-get --quiet --quiet update >&2 && fetch; }; }; }; then
        echo "there is no promtool, and it cannot be fetched here: install Prometheus" >&2
        exit 1
    fi
    dpkg-deb --extract "$tools"/prometheus_*.deb "$tools"
fi
[[ ${1:-} != --install ]] || exit 0

"$promtool" check rules docs/alerts.yml
"$promtool" test rules tests/with-promtool.yml
# Nor may one be left out.
while read -r name; do
    if ! grep -q "alertname='$name'" tests/with-promtool.yml; then
        echo "$name is not played" >&2
        exit 1
    fi
done < <(sed -n 's/^ *- alert: //p' docs/alerts.yml)

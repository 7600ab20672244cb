#!/usr/bin/env bash
# Runs cargo-deny, installed into the project's own folder the first time. Advisories need a
# database from the network: they are reported where it can be had, and never block.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.20.2
tools="$PWD/.cache/tools"
deny="$tools/bin/cargo-deny"
if ! "$deny" --version 2>/dev/null | grep -qF "$version"; then
    echo "installing cargo-deny $version into .cache/tools (once)" >&2
    # Built without link-time optimisation: it runs for a second, and would link for minutes.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --root "$tools" "cargo-deny@$version"
fi
"$deny" --log-level error --all-features check bans licenses sources
"$deny" --all-features check advisories 2>/dev/null || echo "advisories: not checked, or see cargo deny check advisories" >&2

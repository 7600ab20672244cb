#!/usr/bin/env bash
# Fuzzes each parser for FUZZ_SECONDS (30). New inputs go to .cache, findings to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=0
if ! cargo +nightly --version >/dev/null 2>&1; then
    printf 'missing: nightly Rust\n  install it with: rustup toolchain install nightly --profile minimal\n' >&2
    missing=1
fi
if ! command -v cargo-fuzz >/dev/null 2>&1; then
    printf 'missing: cargo-fuzz\n  install it with: cargo install cargo-fuzz --locked\n' >&2
    missing=1
fi
[ "$missing" -eq 0 ] || exit 1

# The crates have no unsafe code, so the targets' own assertions find what there is to find;
# FUZZ_SANITIZER=address looks below them, at the price of a slower build.
options=(--sanitizer "${FUZZ_SANITIZER:-none}")
# A lock file that no longer fits is an error here and not an update.
cargo +nightly metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
cargo +nightly fuzz build "${options[@]}"

status=0
for target in $(cargo +nightly fuzz list); do
    found=".cache/fuzz/$target"
    mkdir -p "$found"
    echo "== $target"
    cargo +nightly fuzz run "${options[@]}" "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-30}" -timeout=10 -print_final_stats=1 -verbosity=0 || status=1
done
exit "$status"

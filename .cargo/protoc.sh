#!/bin/sh
# The Protocol Buffers compiler of one pinned version, out of a crate, so that nothing has to be
# installed to build this workspace. Called by build scripts with protoc's own arguments.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
# Set while clippy runs, and not meant for this.
unset RUSTC_WORKSPACE_WRAPPER
exec cargo run --quiet --locked --manifest-path "$here/protoc/Cargo.toml" \
    --target-dir "$here/../target/protoc" -- "$@"

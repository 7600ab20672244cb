#!/usr/bin/env bash
# Makes sure a control plane can be started: $K3S_BIN, a k3s on PATH, the pinned K3s release where
# the network allows (not in CI, which must give the same result everywhere), or the one built from
# tests/control-plane, which is built once and cached by its sources.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -n "${K3S_BIN:-}" ]; then
    [ -x "$K3S_BIN" ] || { echo "K3S_BIN is set to $K3S_BIN, which is no executable file" >&2; exit 1; }
    echo "control plane: K3s at $K3S_BIN"
elif command -v k3s >/dev/null 2>&1; then
    echo "control plane: K3s at $(command -v k3s)"
elif [ "${CI:-}" != true ] && path="$(tests/tools/k3s-release.sh)"; then
    echo "control plane: K3s at $path"
elif command -v go >/dev/null 2>&1; then
    echo "control plane: $(tests/control-plane/build.sh)"
else
    cat >&2 <<'END'
There is no control plane to run. One of these will do:
  - put a k3s binary on PATH, or name one: export K3S_BIN=/path/to/k3s
  - install Go 1.26 or later (https://go.dev/doc/install): then one is built from source, once
END
    exit 1
fi

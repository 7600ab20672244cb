#!/usr/bin/env bash
# Makes sure a control plane can be started: $K3S_BIN, a k3s on PATH, or the one built from
# tests/control-plane, which is built once and cached by its sources.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -n "${K3S_BIN:-}" ]; then
    [ -x "$K3S_BIN" ] || { echo "K3S_BIN is set to $K3S_BIN, which is no executable file" >&2; exit 1; }
    echo "control plane: K3s at $K3S_BIN"
elif command -v k3s >/dev/null 2>&1; then
    echo "control plane: K3s at $(command -v k3s)"
else
    echo "control plane: $(tests/control-plane/build.sh)"
fi

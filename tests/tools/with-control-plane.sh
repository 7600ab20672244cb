#!/usr/bin/env bash
# Runs a command with the control plane that control-plane.sh found: K3S_BIN for a downloaded K3s,
# K3S_DAAS_CONTROL_PLANE for the one built from tests/control-plane.
set -euo pipefail
here="$(cd "$(dirname "$0")/../.." && pwd)"

if [ -z "${K3S_BIN:-}" ] && ! command -v k3s >/dev/null 2>&1; then
    for downloaded in "$here"/.cache/k3s/*/k3s; do
        if [ -x "$downloaded" ]; then export K3S_BIN="$downloaded"; fi
    done
    if [ -z "${K3S_BIN:-}" ]; then
        built="$("$here/tests/control-plane/build.sh" --path)"
        if [ -x "$built" ]; then export K3S_DAAS_CONTROL_PLANE="$built"; fi
    fi
fi
exec "$@"

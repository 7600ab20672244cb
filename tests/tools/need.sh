#!/usr/bin/env bash
# Says which tools are missing and the exact command that installs each.
set -euo pipefail

missing=0
need() { # tool, how to install it
    command -v "$1" >/dev/null 2>&1 && return
    printf 'missing: %s\n  install it with: %s\n' "$1" "$2" >&2
    missing=1
}

for tool in "$@"; do
    case "$tool" in
        cargo) need cargo "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" ;;
        cc) need cc "sudo apt-get install -y build-essential" ;;
        node)
            need node "sudo apt-get install -y nodejs npm"
            need npm "sudo apt-get install -y npm"
            ;;
        control-plane)
            # A K3s binary or a control plane built earlier will do.
            if [ -n "${K3S_BIN:-}" ] || command -v k3s >/dev/null 2>&1; then continue; fi
            need go "see https://go.dev/doc/install (Go 1.26 or later), or put a k3s binary on PATH, or set K3S_BIN"
            ;;
        *)
            printf 'need.sh: unknown tool %s\n' "$tool" >&2
            exit 2
            ;;
    esac
done
exit "$missing"

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
        *)
            printf 'need.sh: unknown tool %s\n' "$tool" >&2
            exit 2
            ;;
    esac
done
exit "$missing"

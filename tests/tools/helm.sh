#!/usr/bin/env bash
# Builds the pinned helm from its module into .cache/helm/<version>, once, and prints its path.
# $HELM_BIN goes before it. `--path` prints where it is, or would be, and builds nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Of the same Kubernetes minor release as the control plane.
version="v3.21.4"
binary="$PWD/.cache/helm/$version/helm"
if [ -n "${HELM_BIN:-}" ]; then
    echo "$HELM_BIN"
    exit 0
fi
if [ "${1:-}" = --path ] || [ -x "$binary" ]; then
    echo "$binary"
    exit 0
fi
if ! command -v go >/dev/null 2>&1; then
    echo "helm is built with Go 1.26 or later: https://go.dev/doc/install (or set HELM_BIN to a helm)" >&2
    exit 1
fi
echo "building helm $version from its module (some minutes on two cores, once)" >&2
mkdir -p "$(dirname "$binary")"
partial="$(mktemp -d "$(dirname "$binary")/partial.XXXXXX")"
trap 'rm -rf "$partial"' EXIT
CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOBIN="$partial" go install -ldflags "-s -w" "helm.sh/helm/v3/cmd/helm@$version" >&2
mv "$partial/helm" "$binary"
echo "$binary"

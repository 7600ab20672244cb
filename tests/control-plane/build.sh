#!/usr/bin/env bash
# Builds the control plane once and prints the path of the binary; progress goes to standard error.
# The result is kept under .cache/control-plane/<hash of its sources>/ of the project.
#
#   build.sh          build if it is missing, print the path
#   build.sh --path   print where it is, or would be, and build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'control-plane: %s\n' "$*" >&2; }

# Tests are not part of the program, nor is this script's text but for its build flags.
hash=$(cd "$here" && { printf '%s\0' build.sh go.mod go.sum; find . -name '*.go' ! -name '*_test.go' -print0; } |
  LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
folder=${K3S_DAAS_CACHE:-$here/../../.cache}/control-plane/$hash
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
binary=$folder/control-plane

if [[ "${1:-}" == --path || -x "$binary" ]]; then
  printf '%s\n' "$binary"
  exit 0
fi
if ! command -v go >/dev/null; then
  say "needs Go 1.26 or later to be built: https://go.dev/doc/install (or set K3S_BIN to a k3s binary)"
  exit 1
fi

# Two at once would both take minutes; the second waits and finds the first one's.
exec 9>"$folder/lock"
if ! flock -n 9; then
  say "waiting for another build"
  flock 9
fi
if [[ ! -x "$binary" ]]; then
  cd "$here"
  version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${version#v1.}
  stamp=k8s.io/component-base/version
  say "building Kubernetes $version from its modules (some 5 minutes on two cores, once)"
  SECONDS=0
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$binary.part" -ldflags "-s -w \
    -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*} -X $stamp.gitTreeState=clean" . >&2
  mv "$binary.part" "$binary"
  say "built in $SECONDS s: $(du -h "$binary" | cut -f1)"
fi
printf '%s\n' "$binary"

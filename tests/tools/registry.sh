#!/usr/bin/env bash
# Builds the pinned crane, whose registry serves the images that a test pulls, into
# .cache/crane/<version>, once, and prints that folder; and makes large.tar there: the image
# k3s-daas/large:1, with 128 MiB that can't be compressed, so that pulling it takes a while.
# `--path` prints the folder and makes nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

version="v0.20.6"
folder="$PWD/.cache/crane/$version"
if [ "${1:-}" = --path ] || [ -f "$folder/large.tar" ]; then
    echo "$folder"
    exit 0
fi
command -v go >/dev/null 2>&1 || {
    echo "registry: crane is built with Go 1.26 or later: https://go.dev/doc/install" >&2
    exit 1
}
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
partial="$(mktemp -d "$folder/partial.XXXXXX")"
trap 'rm -rf "$partial"' EXIT

echo "registry: building crane $version from its module (some seconds, once)" >&2
CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOBIN="$partial" go install -ldflags "-s -w" \
    "github.com/google/go-containerregistry/cmd/crane@$version" >&2
mv "$partial/crane" "$folder/crane"

mkdir "$partial/root"
head -c $((128 * 1024 * 1024)) /dev/urandom >"$partial/root/large"
tar -C "$partial/root" --numeric-owner --owner=0 --group=0 -cf "$partial/layer.tar" .
layer="$(sha256sum "$partial/layer.tar" | cut -d' ' -f1)"
cat >"$partial/config.json" <<END
{"architecture":"$(go env GOARCH)","os":"linux","config":{},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created_by":"tests/tools/registry.sh"}]}
END
cat >"$partial/manifest.json" <<END
[{"Config":"config.json","RepoTags":["docker.io/k3s-daas/large:1"],"Layers":["layer.tar"]}]
END
tar -C "$partial" --numeric-owner --owner=0 --group=0 -cf "$partial/large.tar" manifest.json config.json layer.tar
# Last: whoever finds it finds all.
mv "$partial/large.tar" "$folder/large.tar"
echo "$folder"

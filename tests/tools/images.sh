#!/usr/bin/env bash
# Makes the image archives of test pods in .cache/images/<hash>, once, and prints that folder:
# k3s-daas/pause:1, which holds a pod's namespaces, and k3s-daas/busy:1, whose program sleeps,
# prints and serves HTTP. Both hold one static Go program (tests/tools/busy): no registry is asked.
# `--path` prints the folder and makes nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

hash="$(cat tests/tools/images.sh tests/tools/busy/main.go | sha256sum | cut -c1-16)"
folder="$PWD/.cache/images/$hash"
if [ "${1:-}" = --path ] || [ -f "$folder/busy.tar" ]; then
    echo "$folder"
    exit 0
fi
command -v go >/dev/null 2>&1 || {
    echo "images: the test images are built with Go 1.26 or later: https://go.dev/doc/install" >&2
    exit 1
}
mkdir -p "$folder"
partial="$(mktemp -d "$folder/partial.XXXXXX")"
trap 'rm -rf "$partial"' EXIT

mkdir -p "$partial/root/bin" "$partial/root/etc"
CGO_ENABLED=0 GO111MODULE=off go build -trimpath -ldflags "-s -w" -o "$partial/root/bin/busy" tests/tools/busy/main.go
echo 'nobody:x:65534:65534:nobody:/:/bin/busy' >"$partial/root/etc/passwd"
tar -C "$partial/root" --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -cf "$partial/layer.tar" .
layer="$(sha256sum "$partial/layer.tar" | cut -d' ' -f1)"
architecture="$(go env GOARCH)"

image() { # name, its command
    cat >"$partial/config.json" <<END
{"architecture":"$architecture","os":"linux","config":{"Entrypoint":["/bin/busy","$2"],"Env":["PATH=/bin"],"User":"65534:65534"},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created_by":"tests/tools/images.sh"}]}
END
    cat >"$partial/manifest.json" <<END
[{"Config":"config.json","RepoTags":["docker.io/k3s-daas/$1:1"],"Layers":["layer.tar"]}]
END
    tar -C "$partial" --numeric-owner --owner=0 --group=0 -cf "$partial/$1.tar" manifest.json config.json layer.tar
    mv "$partial/$1.tar" "$folder/$1.tar"
}
image pause pause
image busy serve
echo "$folder"

#!/usr/bin/env bash
# Builds crictl and critest into .cache/cri-tools/<version>, once, and prints that folder; and, where
# a static busybox is on PATH or apt-get can download one, makes the two images of critest's cases
# there: box.tar (a shell) and web.tar (the same, which serves HTTP at port 80).
# `--path` prints the folder and makes nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

version="v1.36.0"
folder="$PWD/.cache/cri-tools/$version"
if [ "${1:-}" = --path ]; then
    echo "$folder"
    exit 0
fi

say() { printf 'cri-tools: %s\n' "$*" >&2; }

mkdir -p "$folder"
exec 9>"$folder/lock"
flock -n 9 || { say "waiting for another build"; flock 9; }
partial="$(mktemp -d "$folder/partial.XXXXXX")"
trap 'rm -rf "$partial"' EXIT

build() { # name, the command that builds it
    [ -x "$folder/$1" ] && return
    command -v go >/dev/null 2>&1 || {
        say "$1 is built with Go 1.26 or later: https://go.dev/doc/install"
        exit 1
    }
    say "building $1 $version from its module (half a minute on two cores, once)"
    (cd tests/tools/cri-tools && CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false" \
        "${@:2}" -o "$partial/$1" -ldflags "-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=$version" \
        "sigs.k8s.io/cri-tools/cmd/$1" >&2)
    mv "$partial/$1" "$folder/$1"
}
build crictl go build
build critest go test -c

# A busybox that needs no library.
static() {
    local found
    if found="$(command -v busybox)" && ! ldd "$found" >/dev/null 2>&1; then
        cp "$found" "$partial/busybox"
        return
    fi
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
    (cd "$partial" && apt-get download -qq busybox-static && dpkg-deb -x busybox-static_*.deb deb) >/dev/null 2>&1 || return 1
    cp "$(find "$partial/deb" -path '*/bin/busybox' -type f | head -n 1)" "$partial/busybox"
}

image() { # name, its command as JSON
    cat >"$partial/config.json" <<END
{"architecture":"$architecture","os":"linux","config":{"Cmd":$2,"Env":["PATH=/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created_by":"tests/tools/cri-tools.sh"}]}
END
    cat >"$partial/manifest.json" <<END
[{"Config":"config.json","RepoTags":["docker.io/k3s-daas/$1:1"],"Layers":["layer.tar"]}]
END
    tar -C "$partial" --numeric-owner --owner=0 --group=0 -cf "$partial/$1.tar" manifest.json config.json layer.tar
    mv "$partial/$1.tar" "$folder/$1.tar"
}

if ! [ -f "$folder/web.tar" ]; then
    if static; then
        architecture="$(go env GOARCH)"
        root="$partial/root"
        mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp,var/run,www}
        chmod 1777 "$root/tmp"
        cp "$partial/busybox" "$root/bin/busybox"
        names="$("$root/bin/busybox" --list)"
        for name in $names; do
            [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
        done
        echo '<h1>k3s-daas</h1>' >"$root/www/index.html"
        printf '%s\n' root:x:0:0:root:/root:/bin/sh www-data:x:33:33::/:/bin/sh nobody:x:65534:65534::/:/bin/sh >"$root/etc/passwd"
        printf '%s\n' root:x:0: www-data:x:33: nobody:x:65534: >"$root/etc/group"
        tar -C "$root" --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -cf "$partial/layer.tar" .
        layer="$(sha256sum "$partial/layer.tar" | cut -d' ' -f1)"
        image box '["/bin/sh"]'
        image web '["/bin/httpd","-f","-p","80","-h","/www"]'
    else
        say "there is no static busybox: critest's cases need one (sudo apt-get install -y busybox-static)"
    fi
fi
echo "$folder"

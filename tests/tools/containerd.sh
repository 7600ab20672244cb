#!/usr/bin/env bash
# Installs what runs containers into .cache/containerd/<version>, once, and prints that folder:
# containerd, containerd-shim-runc-v2 and ctr from their Go module (its checksums are the checksum
# database's), runc: the system's where it knows seccomp, else one built from its module, and in
# cni/ the network plugins bridge, host-local, loopback and portmap.
# `--path` prints the folder and makes nothing.
#
# $K3S_DAAS_CONTAINERD goes before it: a folder that holds these four already.
set -euo pipefail
cd "$(dirname "$0")/../.."

containerd="v2.3.4" # the release of K3s v1.36.3
runc="v1.5.2"
plugins="v1.9.1"
folder="$PWD/.cache/containerd/$containerd"
programs=(containerd containerd-shim-runc-v2 ctr runc)

say() { printf 'containerd: %s\n' "$*" >&2; }

if [ -n "${K3S_DAAS_CONTAINERD:-}" ]; then
    for program in "${programs[@]}"; do
        [ -x "$K3S_DAAS_CONTAINERD/$program" ] || {
            say "K3S_DAAS_CONTAINERD names $K3S_DAAS_CONTAINERD, where there is no $program"
            exit 1
        }
    done
    echo "$K3S_DAAS_CONTAINERD"
    exit 0
fi
if [ "${1:-}" = --path ]; then
    echo "$folder"
    exit 0
fi
mkdir -p "$folder"
# Two at once would both take minutes; the second waits and finds the first one's.
exec 9>"$folder/lock"
flock -n 9 || { say "waiting for another build"; flock 9; }

partial="$(mktemp -d "$folder/partial.XXXXXX")"
trap 'rm -rf "$partial"' EXIT

need_go() {
    command -v go >/dev/null 2>&1 && return
    say "$1 is built with Go 1.26 or later: https://go.dev/doc/install"
    say "or name a folder that holds ${programs[*]}: export K3S_DAAS_CONTAINERD=/path/to/folder"
    exit 1
}

module="github.com/containerd/containerd/v2"
for program in containerd containerd-shim-runc-v2 ctr; do
    [ -x "$folder/$program" ] && continue
    need_go "$program"
    say "building $program $containerd from its module (half a minute on two cores, once)"
    CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOBIN="$partial" go install \
        -ldflags "-s -w -X $module/version.Version=$containerd" "$module/cmd/$program@$containerd" >&2
    mv "$partial/$program" "$folder/$program"
done

mkdir -p "$folder/cni"
module="github.com/containernetworking/plugins"
for plugin in main/bridge main/loopback ipam/host-local meta/portmap; do
    name="${plugin#*/}"
    [ -x "$folder/cni/$name" ] && continue
    need_go "network plugin $name"
    say "building the network plugin $name $plugins from its module"
    CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOBIN="$partial" go install \
        -ldflags "-s -w" "$module/plugins/$plugin@$plugins" >&2
    mv "$partial/$name" "$folder/cni/$name"
done

# Without seccomp runc refuses the profile that kubelet gives every pod by default.
knows_seccomp() { "$1" --version 2>/dev/null | grep -q '^libseccomp'; }

if ! [ -x "$folder/runc" ]; then
    if system="$(command -v runc)" && knows_seccomp "$system"; then
        ln -sf "$system" "$folder/runc"
    elif command -v cc >/dev/null 2>&1 && pkg-config --exists libseccomp 2>/dev/null; then
        need_go runc
        say "building runc $runc from its module"
        CGO_ENABLED=1 GOFLAGS="-trimpath -buildvcs=false" GOBIN="$partial" go install -tags seccomp \
            -ldflags "-s -w" "github.com/opencontainers/runc@$runc" >&2
        mv "$partial/runc" "$folder/runc"
    else
        say "there is no runc that knows seccomp, and it can't be built without libseccomp"
        say "install one of them: sudo apt-get install -y runc"
        say "                  or sudo apt-get install -y libseccomp-dev pkg-config build-essential"
        exit 1
    fi
fi
echo "$folder"

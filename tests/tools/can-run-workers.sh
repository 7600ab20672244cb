#!/usr/bin/env bash
# Prints 1 where worker machines can run (root that may make namespaces and bridges, tools that can
# be had), else 0, and why not on standard error.
set -euo pipefail
cd "$(dirname "$0")/../.."

no() {
    echo "no worker machines here: $1" >&2
    echo 0
    exit 0
}
[ "$(id -u)" = 0 ] || no "they need root"
for program in ip unshare nsenter mount; do
    command -v "$program" >/dev/null 2>&1 || no "$program is not on PATH"
done
unshare --fork --pid --mount --net --ipc --uts --mount-proc -- /bin/sh -ec \
    'ip link add name probe0 type bridge; mount -t tmpfs tmpfs /run' 2>/dev/null ||
    no "namespaces, bridges or mounts are not allowed"
[ -w /sys/fs/cgroup ] || no "/sys/fs/cgroup is read-only"
tools="$(tests/tools/containerd.sh --path)"
[ -x "$tools/runc" ] || command -v go >/dev/null 2>&1 || no "containerd is built with Go, which is not there"
echo 1

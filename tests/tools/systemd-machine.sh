#!/usr/bin/env bash
# A machine with systemd, which can be rebooted: namespaces, control groups of its own and a
# copy-on-write view of this machine's files, with systemd as its first process and none of this
# machine's services.
#
#   systemd-machine.sh can                1, or 0 and why not on standard error
#   systemd-machine.sh run FOLDER [A=B].. runs one until standard input ends; its files go with it.
#                                         Each A=B shows the file or folder A of this machine at B
#   systemd-machine.sh in FOLDER WORD..   a command in it
#
# FOLDER is an empty one. `held` in it is the parent of the machine's first process.
set -euo pipefail
cd "$(dirname "$0")/../.."
here="$PWD/tests/tools/systemd-machine.sh"
systemd=/lib/systemd/systemd
groups=/sys/fs/cgroup

no() {
    echo "no machine with systemd here: $1" >&2
    echo 0
    exit 0
}

can() {
    [ "$(id -u)" = 0 ] || no "it needs root"
    [ -x "$systemd" ] || no "$systemd is not there: sudo apt-get install -y systemd"
    for program in ip unshare nsenter setpriv mount pivot_root systemctl; do
        command -v "$program" >/dev/null 2>&1 || no "$program is not on PATH"
    done
    [ -w "$groups" ] || no "$groups is read-only"
    if ! one_hierarchy; then
        local version
        version="$("$systemd" --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
        [ "${version:-0}" -lt 256 ] || no "systemd $version wants cgroup v2 alone"
        [ -d "$groups/systemd" ] || no "there is no $groups/systemd"
    fi
    unshare --fork --pid --mount --net --ipc --uts --cgroup --mount-proc -- /bin/sh -ec '
        mount -t tmpfs tmpfs /run && mkdir /run/a /run/b /run/c
        mount -t overlay -o lowerdir=/,upperdir=/run/a,workdir=/run/b overlay /run/c' 2>/dev/null ||
        no "namespaces or overlays are not allowed"
    echo 1
}

# Whether this machine has cgroup v2 and nothing else.
one_hierarchy() { [ "$(stat -f -c %T "$groups")" = cgroup2fs ]; }

# The folders of this machine's hierarchies of control groups.
hierarchies() {
    if one_hierarchy; then
        echo "$groups"
        return
    fi
    local one
    for one in "$groups"/*/; do
        [ -L "${one%/}" ] || echo "${one%/}"
    done
}

# Groups end from the leaves up, as soon as their processes have.
forget() {
    local one left
    for _ in $(seq 100); do
        left=
        for one in $(hierarchies); do
            [ -d "$one/$1" ] || continue
            find "$one/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
            [ ! -d "$one/$1" ] || left=1
        done
        [ -n "$left" ] || return 0
        sleep 0.1
    done
}

run() {
    local folder="$1" one what
    name="k3s-daas-systemd-$$"
    shift
    trap 'kill -9 "$holder" 2>/dev/null || true; wait "$holder" 2>/dev/null || true; forget "$name"' EXIT
    trap 'exit 143' TERM INT HUP
    exec 3<&0
    for one in $(hierarchies); do
        mkdir "$one/$name"
        # Who enters a group of processors must have been given some.
        for what in cpuset.cpus cpuset.mems; do
            [ ! -e "$one/cgroup.clone_children" ] || [ ! -e "$one/$what" ] || cat "$one/$what" >"$one/$name/$what"
        done
    done
    # Its groups are entered before it has a namespace of groups: they are the roots that it sees.
    # shellcheck disable=SC2016
    bash -ec '
        for one in $1; do echo $$ >"$one/$2/cgroup.procs"; done
        shift 2
        exec setpriv --pdeathsig KILL unshare --mount --net --uts --cgroup "$@"' \
        enter "$(hierarchies)" "$name" bash "$here" hold "$folder" "$@" </dev/null 3<&- &
    holder=$!
    # Whoever holds the other end of standard input may die in any way.
    cat >/dev/null <&3 &
    wait -n || true
}

# The machine's files; and its first process, again after each reboot.
hold() {
    local folder="$1" pair status first
    shift
    mount --make-rprivate /
    mkdir "$folder/disk"
    mount -t tmpfs -o mode=755 tmpfs "$folder/disk"
    mkdir "$folder"/disk/{changes,work,root}
    mount -t overlay -o "lowerdir=/,upperdir=$folder/disk/changes,workdir=$folder/disk/work" \
        overlay "$folder/disk/root"
    bare "$folder/disk/root"
    for pair in "$@"; do
        show "${pair%%=*}" "$folder/disk/root${pair#*=}"
    done
    ip link set lo up
    while :; do
        setpriv --pdeathsig KILL unshare --fork --kill-child --pid --mount --ipc \
            bash "$here" boot "$folder/disk/root" &
        first=$!
        echo "$first" >"$folder/held.new"
        mv "$folder/held.new" "$folder/held"
        status=0
        wait "$first" 2>/dev/null || status=$?
        # The kernel's way to tell of a reboot.
        [ "$status" = "$((128 + 1))" ] || exit "$status"
    done
}

show() {
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")" && : >"$2"; fi
    mount --bind "$1" "$2"
}

# Of this machine's units the few that make a machine are left.
bare() {
    local one units="$1/lib/systemd/system"
    rm -rf "$1"/etc/systemd/system/* "$1"/etc/rc?.d/* "$1"/etc/init.d "$1"/etc/fstab "$1"/etc/rancher \
        "$1"/etc/k3s-daas "$1"/var/lib/rancher "$1"/var/lib/k3s-daas-worker "$1"/var/log/journal "$1"/lib/systemd/system-generators/* \
        "$units"/*.wants
    mkdir "$units"/{sysinit,sockets}.target.wants
    for one in systemd-journald.service systemd-tmpfiles-setup.service; do
        ln -s "../$one" "$units/sysinit.target.wants/$one"
    done
    for one in systemd-journald.socket systemd-journald-dev-log.socket; do
        ln -s "../$one" "$units/sockets.target.wants/$one"
    done
    ln -s /lib/systemd/system/multi-user.target "$1/etc/systemd/system/default.target"
}

boot() {
    local root="$1" one
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    if one_hierarchy; then
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    else
        mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
        while IFS=: read -r _ one _; do
            mkdir "$root/sys/fs/cgroup/${one:=unified}" 2>/dev/null || true
            case "$one" in
                unified) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified" ;;
                name=*)
                    mkdir "$root/sys/fs/cgroup/${one#name=}"
                    mount -t cgroup -o "none,$one" cgroup "$root/sys/fs/cgroup/${one#name=}"
                    rmdir "$root/sys/fs/cgroup/$one"
                    ;;
                *) mount -t cgroup -o "$one" cgroup "$root/sys/fs/cgroup/$one" ;;
            esac
        done </proc/self/cgroup
    fi
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    mkdir "$root/dev"/{pts,shm}
    # Kubelet reads the kernel's messages.
    for one in null zero full random urandom tty kmsg; do
        [ ! -e "/dev/$one" ] || show "/dev/$one" "$root/dev/$one"
    done
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    for one in tmp dev/shm; do
        mount -t tmpfs -o mode=1777 tmpfs "$root/$one"
    done
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    cd "$root"
    mkdir -p .here
    pivot_root . .here
    umount -l /.here
    exec env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        "$systemd" --system --log-target=console --show-status=0 </dev/null
}

within() {
    local held first=
    held="$(cat "$1/held")"
    shift
    read -r first _ <"/proc/$held/task/$held/children" || [ -n "$first" ]
    exec nsenter --target "$first" --mount --uts --ipc --net --pid --cgroup -- "$@"
}

command="${1:-}"
[ "$#" = 0 ] || shift
case "$command" in
    can) can ;;
    run) run "$@" ;;
    hold) hold "$@" ;;
    boot) boot "$@" ;;
    in) within "$@" ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac

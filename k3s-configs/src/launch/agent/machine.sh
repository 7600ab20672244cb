# The first process of a worker's machine. Its namespaces are new; when it ends, the kernel ends
# everything else in them. Words on standard input say what to do, and their end is its own:
#   network   the interface is there: configure it
#   start     run the agent (this script's arguments); "started", later "ended <code>" is answered
#   TERM, KILL  send the agent that signal
# In the environment: MACHINE_NAME, MACHINE_ADDRESS, MACHINE_GATEWAY, MACHINE_CNI.
# The working folder is the machine's own.
set -eu
exec 3<&0 </dev/null

mount --make-rprivate /
mkdir -p /run
mount -t tmpfs -o mode=0755,size=512m tmpfs /run
mkdir -p /run/machine /run/netns /run/lock
mount --bind . /run/machine
cd /run/machine
# What is written there would be this machine's for good; here it ends with the machine.
for folder in etc opt var/lib var/log; do
    mkdir -p "/$folder" "/run/over/$folder/upper" "/run/over/$folder/work"
    mount -t overlay \
        -o "lowerdir=/$folder,upperdir=/run/over/$folder/upper,workdir=/run/over/$folder/work" \
        overlay "/$folder"
done
keep() { # folder of the machine, where it is seen
    mkdir -p "/run/machine/$1" "$2"
    mount --bind "/run/machine/$1" "$2"
}
keep rancher /etc/rancher
keep cni-conf /etc/cni/net.d
keep cni /var/lib/cni
keep kubelet /var/lib/kubelet
keep pods /var/log/pods
mkdir -p /opt/cni/bin
mount --bind "$MACHINE_CNI" /opt/cni/bin
rm -f /etc/resolv.conf
cp resolv.conf /etc/resolv.conf
hostname "$MACHINE_NAME" 2>/dev/null || echo "$MACHINE_NAME" >/proc/sys/kernel/hostname
# Kubelet's mounts have to reach containers and theirs the kubelet.
mount --make-rshared /

run() {
    "$@" >>/run/machine/agent.log 2>&1 </dev/null 3<&- &
    agent=$!
    echo "$agent" >/run/agent.pid.part
    mv /run/agent.pid.part /run/agent.pid
    echo started
    code=0
    wait "$agent" || code=$?
    echo "ended $code"
}

commands() {
    while read -r word <&3; do
        case "$word" in
            network)
                ip link set lo up
                ip address add "$MACHINE_ADDRESS" dev eth0
                ip link set eth0 up
                ip route add default via "$MACHINE_GATEWAY"
                echo network
                ;;
            start)
                rm -f /run/agent.pid
                run "$@" &
                ;;
            TERM | KILL)
                # It may have ended by itself; that was answered.
                kill "-$word" "$(cat /run/agent.pid)" 2>/dev/null || true
                ;;
        esac
    done
}

echo machine
commands "$@" &
reader=$!
exec 3<&-
# While it waits, a shell also buries the orphans that the first process is given.
wait "$reader"

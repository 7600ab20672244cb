#!/bin/sh
# Stands in for K3s's agent: it starts its containerd, then calls where kubelet would. Like kubelet it
# ends where its first call is not answered in a few seconds.
drop_in=/etc/rancher/k3s/config.yaml.d/50-k3s-daas-cri.yaml
direct=/run/k3s/containerd/containerd.sock
endpoint=$direct
[ ! -e "$drop_in" ] || endpoint="$(sed -n 's#.*container-runtime-endpoint=unix://\(.*\)"#\1#p' "$drop_in")"
mkdir -p /run/k3s/containerd
cat >/run/k3s/containerd.toml <<END
version = 3
root = "/var/lib/rancher/containerd"
state = "/run/k3s/containerd"
[grpc]
  address = "$direct"
END
PATH=/opt/containerd:$PATH
containerd --config /run/k3s/containerd.toml >/run/k3s/containerd.log 2>&1 &
containerd=$!
end() {
    kill "$containerd"
    wait "$containerd"
    exit "$1"
}
trap 'end 0' TERM
# K3s starts kubelet once its containerd is there. Through the shim it need not be.
[ "$endpoint" != "$direct" ] || until [ -S "$direct" ]; do sleep 0.05; done
said="$(ctr --address "$endpoint" --connect-timeout 5s --timeout 20s version 2>&1)" || {
    echo "not answered by $endpoint: $said"
    end 1
}
echo "answered by $endpoint"
wait "$containerd"

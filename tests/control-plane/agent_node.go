package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	containerdSocket = "/run/k3s/containerd/containerd.sock"
	containerdWithin = 30 * time.Second
)

// runNode runs containerd and kubelet until the context ends, or one of them.
func (a *agent) runNode(ctx context.Context) error {
	logs := a.path("logs")
	for _, dir := range []string{logs, filepath.Dir(containerdSocket), "/var/lib/kubelet"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	config := a.path("containerd.toml")
	if err := writeFile(config, []byte(a.containerdConfig()), 0o600); err != nil {
		return err
	}
	containerd, err := startProgram("containerd", logs, "containerd", "--config", config)
	if err != nil {
		return err
	}
	defer containerd.stop()
	if err := waitForSocket(ctx, containerd); err != nil {
		return err
	}
	if err := a.importImages(ctx); err != nil {
		return err
	}
	kubeconfig := a.path("kubelet.kubeconfig")
	client := leaf{a.path("client-kubelet.crt"), a.path("client-kubelet.key")}
	if err := writeKubeconfig(kubeconfig, "https://"+a.apiServer, a.path("server-ca.crt"), client); err != nil {
		return err
	}
	kubeletConfig, err := a.kubeletConfig()
	if err != nil {
		return err
	}
	if err := writeFile(a.path("kubelet.json"), kubeletConfig, 0o600); err != nil {
		return err
	}
	kubelet, err := startProcess(component{"kubelet", []string{
		"--config=" + a.path("kubelet.json"),
		"--kubeconfig=" + kubeconfig,
		"--cloud-provider=external",
		"--hostname-override=" + a.name,
		"--node-ip=" + a.address,
		"--node-labels=" + strings.Join(a.labels, ","),
		"--root-dir=/var/lib/kubelet",
	}}, logs)
	if err != nil {
		return err
	}
	defer kubelet.stop()
	go a.annotate(ctx, kubeconfig)
	select {
	case <-ctx.Done():
		return nil
	case <-containerd.done:
		return containerd.failure()
	case <-kubelet.done:
		return kubelet.failure()
	}
}

func (a *agent) containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = %q
state = "/run/k3s/containerd"
imports = [%q]

[grpc]
address = %q

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = %q

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/opt/cni/bin"]
conf_dir = "/etc/cni/net.d"
`, a.path("containerd"), a.path("etc/containerd/config-v3.toml.d/*.toml"), containerdSocket, a.pauseImage)
}

func (a *agent) importImages(ctx context.Context) error {
	archives, err := filepath.Glob(a.path("images/*.tar"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		command := exec.CommandContext(ctx, "ctr", "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", "--local", archive)
		if said, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", archive, err, said)
		}
	}
	return nil
}

// kubeletConfig is what K3s's agent sets where it matters for joining and for pods.
func (a *agent) kubeletConfig() ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"address":    "0.0.0.0",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": a.path("client-ca.crt")},
		},
		"authorization":             map[string]any{"mode": "Webhook"},
		"cgroupDriver":              "cgroupfs",
		"cgroupRoot":                a.cgroupRoot,
		"cgroupsPerQOS":             true,
		"clusterDNS":                []string{a.dns},
		"clusterDomain":             a.domain,
		"containerRuntimeEndpoint":  "unix://" + a.criSocket,
		"evictionHard":              map[string]string{"imagefs.available": "1%", "nodefs.available": "1%"},
		"failCgroupV1":              false,
		"failSwapOn":                false,
		"healthzPort":               0,
		"nodeStatusUpdateFrequency": "10s",
		"resolvConf":                "/etc/resolv.conf",
		"tlsCertFile":               a.path("serving-kubelet.crt"),
		"tlsPrivateKeyFile":         a.path("serving-kubelet.key"),
	})
}

// annotate says on the Node what this agent was started with, as K3s's does: once for each start.
func (a *agent) annotate(ctx context.Context, kubeconfig string) {
	arguments, err := json.Marshal(a.arguments)
	if err != nil {
		return
	}
	labels := map[string]string{}
	for _, label := range a.labels {
		if name, value, found := strings.Cut(label, "="); found {
			labels[name] = value
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{nodeArgs: string(arguments), internalIP: a.address, hostname: a.name},
		"labels":      labels,
	}})
	if err != nil {
		return
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return
	}
	config.Timeout = requestWithin
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return
	}
	for {
		_, err := client.CoreV1().Nodes().Patch(ctx, a.name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			return
		}
		fmt.Fprintln(os.Stderr, "agent: can't annotate the node:", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(tryAgainAfter):
		}
	}
}

func waitForSocket(ctx context.Context, containerd *process) error {
	deadline := time.After(containerdWithin)
	for {
		if connection, err := net.Dial("unix", containerdSocket); err == nil {
			return connection.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-containerd.done:
			return containerd.failure()
		case <-deadline:
			return errors.New("containerd does not answer; see " + containerd.logFile)
		case <-time.After(pollEvery):
		}
	}
}

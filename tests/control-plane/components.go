package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k3s-daas/tests/control-plane/arguments"
)

// The ranges and names are K3s's defaults.
const (
	clusterDomain  = "cluster.local"
	podRange       = "10.42.0.0/16"
	serviceRange   = "10.43.0.0/16"
	serviceAddress = "10.43.0.1" // the first of serviceRange: service default/kubernetes
	frontProxyUser = "system:auth-proxy"
	// An address that reaches nobody (RFC 5737): kube-apiserver insists on one that is not
	// loopback, also where it is told to publish none.
	unpublishedAddress = "203.0.113.1"
)

// settings is what `up` runs on.
type settings struct {
	dataDir          string
	bindAddress      net.IP
	securePort       int
	advertiseAddress string
	sans             []string
	kubeconfig       string
	noFsync          bool
	supervisorPort   int // 0: none
	apiserver        []string
	controllers      []string
	scheduler        []string
}

func (s *settings) path(elements ...string) string {
	return filepath.Join(append([]string{s.dataDir}, elements...)...)
}

// url is where clients on this machine reach the API server.
func (s *settings) url() string {
	host := s.bindAddress
	if host.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
	}
	return "https://" + net.JoinHostPort(host.String(), strconv.Itoa(s.securePort))
}

// component is one child process: this binary under another name.
type component struct {
	name      string
	arguments []string
}

// pki names the files that the components share.
type pki struct {
	serverCA, clientCA, frontProxyCA *authority
	serving, kubelet, frontProxy     leaf
	serviceAccountKey                string
}

func makePKI(s *settings) (*pki, error) {
	dir := s.path("tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &pki{serviceAccountKey: filepath.Join(dir, "service-account.key")}
	var err error
	for _, ca := range []struct {
		into       **authority
		file, name string
	}{
		{&p.serverCA, "server-ca", "control-plane-server-ca"},
		{&p.clientCA, "client-ca", "control-plane-client-ca"},
		// Of its own: whoever it signs may name any user in a header.
		{&p.frontProxyCA, "request-header-ca", "control-plane-request-header-ca"},
	} {
		if *ca.into, err = loadOrMakeAuthority(dir, ca.file, ca.name); err != nil {
			return nil, err
		}
	}
	hosts := append([]string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + clusterDomain, "127.0.0.1", "::1", serviceAddress,
	}, s.sans...)
	if !s.bindAddress.IsUnspecified() && !s.bindAddress.IsLoopback() {
		hosts = append(hosts, s.bindAddress.String())
	}
	if s.advertiseAddress != "" {
		hosts = append(hosts, s.advertiseAddress)
	}
	if p.serving, err = p.serverCA.issueServer(dir, "serving-kube-apiserver", hosts); err != nil {
		return nil, err
	}
	if p.kubelet, err = p.clientCA.issueClient(dir, "client-kube-apiserver", "system:apiserver", "system:masters"); err != nil {
		return nil, err
	}
	if p.frontProxy, err = p.frontProxyCA.issueClient(dir, "client-auth-proxy", frontProxyUser); err != nil {
		return nil, err
	}
	return p, loadOrMakeServiceAccountKey(p.serviceAccountKey)
}

// makeKubeconfigs writes one for the admin and one for each component that needs one.
func makeKubeconfigs(s *settings, p *pki) error {
	dir := s.path("cred")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, who := range []struct {
		name, file, user string
		groups           []string
	}{
		{"client-admin", s.kubeconfig, "system:admin", []string{"system:masters"}},
		{"client-controller", s.path("cred", "controller.kubeconfig"), "system:kube-controller-manager", nil},
		{"client-scheduler", s.path("cred", "scheduler.kubeconfig"), "system:kube-scheduler", nil},
		{"client-supervisor", s.path("cred", "supervisor.kubeconfig"), supervisorName, []string{"system:masters"}},
	} {
		client, err := p.clientCA.issueClient(s.path("tls"), who.name, who.user, who.groups...)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(who.file, s.url(), p.serverCA.certFile, client); err != nil {
			return fmt.Errorf("%s: %w", who.file, err)
		}
	}
	return nil
}

func etcdComponent(s *settings) component {
	arguments := []string{"--data-dir=" + s.path("etcd")}
	if s.noFsync {
		arguments = append(arguments, "--no-fsync")
	}
	return component{"etcd", arguments}
}

func apiserverComponent(s *settings, p *pki) component {
	issuer := "https://kubernetes.default.svc." + clusterDomain
	defaults := map[string]string{
		"advertise-address":                  s.advertiseAddress,
		"allow-privileged":                   "true",
		"api-audiences":                      issuer + ",k3s",
		"bind-address":                       s.bindAddress.String(),
		"cert-dir":                           s.path("tls"),
		"client-ca-file":                     p.clientCA.certFile,
		"enable-admission-plugins":           "NodeRestriction",
		"enable-aggregator-routing":          "true",
		"enable-bootstrap-token-auth":        "true",
		"etcd-servers":                       "unix://" + etcdClientSocket(s.path("etcd")),
		"kubelet-certificate-authority":      p.serverCA.certFile,
		"kubelet-client-certificate":         p.kubelet.certFile,
		"kubelet-client-key":                 p.kubelet.keyFile,
		"kubelet-preferred-address-types":    "InternalIP,ExternalIP,Hostname",
		"profiling":                          "false",
		"proxy-client-cert-file":             p.frontProxy.certFile,
		"proxy-client-key-file":              p.frontProxy.keyFile,
		"requestheader-allowed-names":        frontProxyUser,
		"requestheader-client-ca-file":       p.frontProxyCA.certFile,
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"secure-port":                        strconv.Itoa(s.securePort),
		"service-account-issuer":             issuer,
		"service-account-key-file":           p.serviceAccountKey,
		"service-account-signing-key-file":   p.serviceAccountKey,
		"service-cluster-ip-range":           serviceRange,
		"storage-backend":                    "etcd3",
		"tls-cert-file":                      p.serving.certFile,
		"tls-private-key-file":               p.serving.keyFile,
	}
	if s.advertiseAddress == "" {
		defaults["advertise-address"] = unpublishedAddress
		defaults["endpoint-reconciler-type"] = "none"
	}
	// kube-apiserver refuses these beside the files that replace them, as K3s knows.
	if !arguments.Names(s.apiserver, "authorization-config") {
		defaults["authorization-mode"] = "Node,RBAC"
	}
	if !arguments.Names(s.apiserver, "authentication-config") {
		defaults["anonymous-auth"] = "false"
	}
	return component{"kube-apiserver", arguments.Merge(defaults, s.apiserver)}
}

func controllerManagerComponent(s *settings, p *pki) component {
	kubeconfig := s.path("cred", "controller.kubeconfig")
	return component{"kube-controller-manager", arguments.Merge(map[string]string{
		"allocate-node-cidrs":       "true",
		"authentication-kubeconfig": kubeconfig,
		"authorization-kubeconfig":  kubeconfig,
		"cluster-cidr":              podRange,
		"cluster-signing-cert-file": p.clientCA.certFile,
		"cluster-signing-key-file":  s.path("tls", "client-ca.key"),
		"configure-cloud-routes":    "false",
		"controllers":               "*,tokencleaner",
		// Its start makes dozens of service accounts; with the default 20 a second it takes five seconds.
		"kube-api-qps":                     "200",
		"kube-api-burst":                   "400",
		"kubeconfig":                       kubeconfig,
		"leader-elect":                     "false",
		"profiling":                        "false",
		"root-ca-file":                     p.serverCA.certFile,
		"secure-port":                      "0",
		"service-account-private-key-file": p.serviceAccountKey,
		"service-cluster-ip-range":         serviceRange,
		"use-service-account-credentials":  "true",
	}, s.controllers)}
}

func schedulerComponent(s *settings) component {
	kubeconfig := s.path("cred", "scheduler.kubeconfig")
	return component{"kube-scheduler", arguments.Merge(map[string]string{
		"authentication-kubeconfig": kubeconfig,
		"authorization-kubeconfig":  kubeconfig,
		"kubeconfig":                kubeconfig,
		"leader-elect":              "false",
		"profiling":                 "false",
		"secure-port":               "0",
	}, s.scheduler)}
}

// supervisorComponent is the double of K3s's supervisor, through which machines join.
func supervisorComponent(s *settings) component {
	// Agents are told where to go, which need not be where the API server listens: a gate may stand
	// between.
	advertised := s.advertiseAddress
	if advertised == "" {
		advertised = s.bindAddress.String()
	}
	return component{"supervisor", []string{
		"--listen=" + net.JoinHostPort(s.bindAddress.String(), strconv.Itoa(s.supervisorPort)),
		"--api-server=" + net.JoinHostPort(advertised, strconv.Itoa(s.securePort)),
		"--tls-dir=" + s.path("tls"),
		"--kubeconfig=" + s.path("cred", "supervisor.kubeconfig"),
		"--webhook-config=" + arguments.Value(s.apiserver, webhookFlag),
	}}
}

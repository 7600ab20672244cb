package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// This is a TEST DOUBLE of the agent of K3s v1.36, as far as joining and a kubelet go: it takes a
// token `K10<hash of the CA>::<credential>` to a supervisor (K3s's double, see supervisor.go), gets
// its certificates, and runs containerd and the kubelet of the Kubernetes modules with them. No
// tunnel, no kube-proxy, no network policies.

const (
	nodePasswordFile = "/etc/rancher/node/password"
	tryAgainAfter    = 2 * time.Second
	requestWithin    = 60 * time.Second
	largestAnswer    = 1 << 20
)

// agent is a machine that joins.
type agent struct {
	server, tokenFile, name, address, dataDir string
	pauseImage, cgroupRoot, criSocket         string
	labels                                    repeated
	arguments                                 []string
	dns, domain, apiServer                    string
}

func (a *agent) path(elements ...string) string {
	return filepath.Join(append([]string{a.dataDir, "agent"}, elements...)...)
}

// runAgent is the subcommand of that name.
func runAgent() int {
	a := &agent{arguments: os.Args}
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	flags.StringVar(&a.server, "server", "", "where the supervisor is, https://address:port")
	flags.StringVar(&a.tokenFile, "token-file", "", "file of the token to join with")
	flags.StringVar(&a.name, "node-name", "", "the node's name")
	flags.StringVar(&a.address, "node-ip", "", "the node's address")
	flags.StringVar(&a.dataDir, "data-dir", "", "folder of all state")
	flags.StringVar(&a.pauseImage, "pause-image", "", "image that holds a pod's namespaces")
	flags.StringVar(&a.cgroupRoot, "cgroup-root", "/", "control group of the pods")
	flags.StringVar(&a.criSocket, "cri-socket", containerdSocket, "where the kubelet calls its container runtime")
	flags.Var(&a.labels, "node-label", "label that the node gets, name=value (repeatable)")
	var taints repeated // in the annotation, as with K3s: kubelet has no say once its Node exists
	flags.Var(&taints, "node-taint", "taint that the node gets, name=value:effect (repeatable)")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	for name, value := range map[string]string{
		"server": a.server, "token-file": a.tokenFile, "node-name": a.name, "node-ip": a.address, "data-dir": a.dataDir,
	} {
		if value == "" {
			fmt.Fprintf(os.Stderr, "agent: --%s is needed\n", name)
			return 2
		}
	}
	runtime.LockOSThread() // see startProcess
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := a.run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 1
	}
	return 0
}

func (a *agent) run(ctx context.Context) error {
	if err := os.MkdirAll(a.path(), 0o700); err != nil {
		return err
	}
	// As K3s's: whatever goes wrong is tried again.
	for {
		err := a.join(ctx)
		if err == nil {
			break
		}
		fmt.Fprintln(os.Stderr, "agent: can't join:", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tryAgainAfter):
		}
	}
	return a.runNode(ctx)
}

// join gets all that a node needs. An agent that has a certificate shows it beside the token, and
// the supervisor looks at the certificate first.
func (a *agent) join(ctx context.Context) error {
	token, err := os.ReadFile(a.tokenFile)
	if err != nil {
		return err
	}
	hash, credential, err := parseToken(strings.TrimSpace(string(token)))
	if err != nil {
		return err
	}
	ca, err := a.serverCA(ctx, hash)
	if err != nil {
		return err
	}
	client, err := a.client(ca)
	if err != nil {
		return err
	}
	get := func(path string) ([]byte, error) {
		return a.ask(ctx, client, credential, http.MethodGet, path, nil, nil)
	}
	var config struct{ ClusterDNS, ClusterDomain string }
	answered, err := get("config")
	if err == nil {
		err = json.Unmarshal(answered, &config)
	}
	if err != nil {
		return err
	}
	var servers []string
	if answered, err = get("apiservers"); err == nil {
		err = json.Unmarshal(answered, &servers)
	}
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		return errors.New("no API server")
	}
	a.dns, a.domain, a.apiServer = config.ClusterDNS, config.ClusterDomain, servers[0]
	for _, file := range []string{"client-ca.crt", "server-ca.crt"} {
		contents, err := get(file)
		if err != nil {
			return err
		}
		if err := writeFile(a.path(file), contents, 0o600); err != nil {
			return err
		}
	}
	password, err := nodePassword()
	if err != nil {
		return err
	}
	headers := http.Header{}
	headers.Set(program+"-Node-Name", a.name)
	headers.Set(program+"-Node-Password", password)
	headers.Set(program+"-Node-IP", a.address)
	for _, name := range []string{"serving-kubelet", "client-kubelet", "client-kube-proxy", "client-" + program + "-controller"} {
		if err := a.certificate(ctx, client, credential, name, headers); err != nil {
			return err
		}
	}
	return nil
}

// parseToken takes a token apart. One without a hash is refused: it would trust any server.
func parseToken(token string) (hash, credential string, err error) {
	prefix, credential, found := strings.Cut(token, "::")
	hash, known := strings.CutPrefix(prefix, "K10")
	if !found || !known || len(hash) != hex.EncodedLen(sha256.Size) {
		return "", "", errors.New("the token is not of the form K10<hash>::<credential>")
	}
	return hash, credential, nil
}

// serverCA fetches the CA from a server not yet known, without credentials, and checks its hash.
func (a *agent) serverCA(ctx context.Context, hash string) ([]byte, error) {
	anyone := &http.Client{Timeout: requestWithin, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the hash is checked
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+"/cacerts", nil)
	if err != nil {
		return nil, err
	}
	ca, err := send(anyone, request)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(ca); hex.EncodeToString(sum[:]) != hash {
		return nil, errors.New("the server's CA is not the one of the token: not trusted")
	}
	return ca, nil
}

func (a *agent) client(ca []byte) (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the server's CA holds no certificate")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if pair, err := tls.LoadX509KeyPair(a.path("client-kubelet.crt"), a.path("client-kubelet.key")); err == nil {
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: requestWithin, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}, nil
}

func (a *agent) ask(ctx context.Context, client *http.Client, credential, method, path string, body []byte, headers http.Header) ([]byte, error) {
	url := a.server + "/v1-" + program + "/" + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if headers != nil {
		request.Header = headers.Clone()
	}
	request.Header.Set("Authorization", "Bearer "+credential)
	return send(client, request)
}

func send(client *http.Client, request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", request.URL.Path, response.Status, bytes.TrimSpace(body))
	}
	return body, nil
}

// certificate has a key signed that never leaves this machine, and keeps both.
func (a *agent) certificate(ctx context.Context, client *http.Client, credential, name string, headers http.Header) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	signed, err := a.ask(ctx, client, credential, http.MethodPost, name+".crt", csr, headers)
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(signed); block == nil {
		return fmt.Errorf("%s.crt: no certificate", name)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(a.path(name+".key"), "EC PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	return writeFile(a.path(name+".crt"), signed, 0o600)
}

// nodePassword is made once for each machine.
func nodePassword() (string, error) {
	password, err := os.ReadFile(nodePasswordFile)
	if err == nil {
		return strings.TrimSpace(string(password)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	text := hex.EncodeToString(random)
	if err := os.MkdirAll(filepath.Dir(nodePasswordFile), 0o700); err != nil {
		return "", err
	}
	return text, writeFile(nodePasswordFile, []byte(text+"\n"), 0o600)
}

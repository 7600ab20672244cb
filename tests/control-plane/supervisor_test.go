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
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const (
	goodToken  = "abcdef.0123456789abcdef"
	otherToken = "fedcba.0123456789abcdef" // somebody without a node's identity
)

// stage is a supervisor over a cluster that is not there.
type stage struct {
	*supervisor
	server *httptest.Server
	client *fake.Clientset
}

func newStage(t *testing.T, nodes ...string) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &supervisor{apiServer: "10.0.0.1:6443"}
	var err error
	if s.serverCA, err = loadOrMakeAuthority(dir, "server-ca", "server-ca"); err != nil {
		t.Fatal(err)
	}
	if s.clientCA, err = loadOrMakeAuthority(dir, "client-ca", "client-ca"); err != nil {
		t.Fatal(err)
	}
	if s.serverCAPEM, err = os.ReadFile(s.serverCA.certFile); err != nil {
		t.Fatal(err)
	}
	if s.clientCAPEM, err = os.ReadFile(s.clientCA.certFile); err != nil {
		t.Fatal(err)
	}
	s.review = func(_ context.Context, token string) (identity, error) {
		switch token {
		case goodToken:
			return identity{"system:node:worker-001", []string{"system:nodes"}}, nil
		case otherToken:
			return identity{"seal:somebody", []string{"k3s-daas:seals"}}, nil
		}
		return identity{}, errors.New("unknown")
	}
	client := fake.NewClientset()
	for _, name := range nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1"}}
		if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.nodes = newNodeKeeper(client)
	server := httptest.NewUnstartedServer(s.handler())
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &stage{s, server, client}
}

type call struct {
	method, path, token, node, password string
	certificate                         *tls.Certificate
}

func (s *stage) do(t *testing.T, c call) (int, []byte) {
	t.Helper()
	var body io.Reader
	if c.method == http.MethodPost {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(csr)
	}
	request, err := http.NewRequestWithContext(t.Context(), c.method, s.server.URL+c.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	request.Header.Set("k3s-Node-Name", c.node)
	request.Header.Set("k3s-Node-Password", c.password)
	request.Header.Set("k3s-Node-IP", "10.0.0.9")
	client := s.server.Client()
	if c.certificate != nil {
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*c.certificate}
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answered, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answered
}

// The table of what a K3s server answered to a credential with a node's identity.
func TestSupervisorAnswersAsK3sDid(t *testing.T) {
	const kubelet, serving = "/v1-k3s/client-kubelet.crt", "/v1-k3s/serving-kubelet.crt"
	for name, c := range map[string]struct {
		nodes []string
		call  call
		want  int
	}{
		"anybody has the CA":               {nil, call{method: "GET", path: "/cacerts"}, 200},
		"nobody without credentials":       {nil, call{method: "GET", path: "/v1-k3s/config"}, 403},
		"an unknown token":                 {nil, call{method: "GET", path: "/v1-k3s/config", token: "nobody"}, 401},
		"a user who is no joiner":          {nil, call{method: "GET", path: "/v1-k3s/config", token: otherToken}, 403},
		"the configuration before a Node":  {nil, call{method: "GET", path: "/v1-k3s/config", token: goodToken}, 200},
		"the API servers":                  {nil, call{method: "GET", path: "/v1-k3s/apiservers", token: goodToken}, 200},
		"a certificate before its Node":    {nil, call{"POST", kubelet, goodToken, "worker-001", "p", nil}, 401},
		"a certificate for its Node":       {[]string{"worker-001"}, call{"POST", kubelet, goodToken, "worker-001", "p", nil}, 200},
		"names are compared in lower case": {[]string{"worker-001"}, call{"POST", kubelet, goodToken, "Worker-001", "p", nil}, 200},
		"a certificate for another name":   {[]string{"worker-001", "worker-002"}, call{"POST", kubelet, goodToken, "worker-002", "p", nil}, 400},
		"a serving one for another name":   {[]string{"worker-001", "worker-002"}, call{"POST", serving, goodToken, "worker-002", "p", nil}, 400},
		"no password":                      {[]string{"worker-001"}, call{"POST", kubelet, goodToken, "worker-001", "", nil}, 400},
		"the proxy's, without a name":      {nil, call{"POST", "/v1-k3s/client-kube-proxy.crt", goodToken, "", "", nil}, 200},
		"the controller's, likewise":       {nil, call{"POST", "/v1-k3s/client-k3s-controller.crt", goodToken, "", "", nil}, 200},
		"no key of the cluster's for it":   {nil, call{method: "GET", path: "/v1-k3s/server-bootstrap", token: goodToken}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			if got, body := newStage(t, c.nodes...).do(t, c.call); got != c.want {
				t.Errorf("got %d, want %d: %s", got, c.want, body)
			}
		})
	}
}

func TestNodePasswordIsTheFirstMachines(t *testing.T) {
	s := newStage(t, "worker-001")
	ask := func(password string) int {
		code, _ := s.do(t, call{"POST", "/v1-k3s/serving-kubelet.crt", goodToken, "worker-001", password, nil})
		return code
	}
	for _, step := range []struct {
		password string
		want     int
	}{{"mine", 200}, {"other", 403}, {"mine", 200}} {
		if got := ask(step.password); got != step.want {
			t.Errorf("%s: got %d, want %d", step.password, got, step.want)
		}
	}
	secret, err := s.client.CoreV1().Secrets("kube-system").Get(t.Context(), "worker-001.node-password.k3s", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if secret.Type != passwordType || secret.Immutable == nil || !*secret.Immutable || len(secret.OwnerReferences) != 1 {
		t.Errorf("%+v", secret)
	}
	if bytes.Contains(secret.Data["hash"], []byte("mine")) {
		t.Error("the password itself is kept")
	}
}

func TestPasswordHashes(t *testing.T) {
	hash, err := hashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$1:") || !verifyPassword(hash, "secret") || verifyPassword(hash, "Secret") {
		t.Error(hash)
	}
	// As K3s v1.21.2 made it.
	const recorded = "$1:fc544750943f7096:15:8:1:mTOa1j9D8zOhVB+1gicqFYB/6epibvXtzbuAOOnBc6Klr2VuFCf0r5QjKMkPBLgcNRZLFZOfJ7xEyva2V+BD2g"
	if !verifyPassword(recorded, "0123456789abcdef0123456789abcdef") {
		t.Error("K3s's own hash is not understood")
	}
	for _, bad := range []string{"", "$1:", "$2" + hash[2:], strings.Replace(hash, ":15:", ":x:", 1) + "%"} {
		if verifyPassword(bad, "secret") {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestCertificatesSayWhatTheIdentityMay(t *testing.T) {
	s := newStage(t, "worker-001")
	read := func(path string) *x509.Certificate {
		code, body := s.do(t, call{"POST", path, goodToken, "worker-001", "p", nil})
		if code != 200 {
			t.Fatalf("%s: %d %s", path, code, body)
		}
		block, _ := pem.Decode(body)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return certificate
	}
	client := read("/v1-k3s/client-kubelet.crt")
	if client.Subject.CommonName != "system:node:worker-001" || client.Subject.Organization[0] != "system:nodes" {
		t.Error(client.Subject)
	}
	if err := client.CheckSignatureFrom(s.clientCA.certificate); err != nil {
		t.Error(err)
	}
	serving := read("/v1-k3s/serving-kubelet.crt")
	if err := serving.CheckSignatureFrom(s.serverCA.certificate); err != nil {
		t.Error(err)
	}
	if err := serving.VerifyHostname("10.0.0.9"); err != nil {
		t.Error(err)
	}
	if user := read("/v1-k3s/client-k3s-controller.crt").Subject; user.CommonName != "system:k3s-controller" || len(user.Organization) != 0 {
		t.Error(user)
	}
}

func TestACertificateComesBeforeTheToken(t *testing.T) {
	s := newStage(t, "worker-001")
	files, err := s.clientCA.issueClient(t.TempDir(), "c", "system:node:worker-001", "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.certFile, files.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	c := call{"POST", "/v1-k3s/client-kubelet.crt", "a token of the past", "worker-001", "p", &pair}
	if code, body := s.do(t, c); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	// And is worth nothing once the Node is gone.
	if err := s.client.CoreV1().Nodes().Delete(t.Context(), "worker-001", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, body := s.do(t, c); code != 401 {
		t.Errorf("%d %s", code, body)
	}
}

func TestANodeIsCompletedOnceItsAgentHasSaidItsAddress(t *testing.T) {
	s := newStage(t, "worker-001")
	nodes := s.client.CoreV1().Nodes()
	node, err := nodes.Get(t.Context(), "worker-001", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Spec.Taints = []corev1.Taint{{Key: uninitialized, Effect: "NoSchedule"}, {Key: "other", Effect: "NoExecute"}}
	completed := func() *corev1.Node {
		if _, err := nodes.Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.nodes.complete(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		got, err := nodes.Get(t.Context(), "worker-001", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := completed(); len(got.Spec.Taints) != 2 || got.Spec.ProviderID != "" {
		t.Errorf("%+v", got.Spec)
	}
	node.Annotations = map[string]string{internalIP: "10.0.0.9"}
	got := completed()
	if len(got.Spec.Taints) != 1 || got.Spec.Taints[0].Key != "other" || got.Spec.ProviderID != "k3s://worker-001" {
		t.Errorf("%+v", got.Spec)
	}
}

func TestAnAgentTrustsOnlyTheCAOfItsToken(t *testing.T) {
	s := newStage(t)
	a := &agent{server: s.server.URL}
	sum := sha256.Sum256(s.serverCAPEM)
	if _, err := a.serverCA(t.Context(), hex.EncodeToString(sum[:])); err != nil {
		t.Error(err)
	}
	if _, err := a.serverCA(t.Context(), strings.Repeat("0", 64)); err == nil {
		t.Error("another CA was trusted")
	}
}

func TestTokensWithoutAHashAreRefused(t *testing.T) {
	hash := strings.Repeat("a", 64)
	if gotHash, credential, err := parseToken("K10" + hash + "::" + goodToken); err != nil || gotHash != hash || credential != goodToken {
		t.Error(gotHash, credential, err)
	}
	for _, bad := range []string{"", goodToken, "K10::" + goodToken, "K10abc::" + goodToken, hash + "::" + goodToken} {
		if _, _, err := parseToken(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

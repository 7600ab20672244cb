package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// This is a TEST DOUBLE of the supervisor of K3s v1.36: the part of a K3s server that machines join
// through. It was written from what a K3s server was seen to answer, for machines where no K3s can
// be had; where both can run, K3s itself is the judge. It knows no static token, no tunnel and no
// etcd, and asks the token webhook itself, where K3s asks through the API server's authenticators,
// with their caches.

const (
	// What K3s names the annotations, headers and routes after.
	program = "k3s"
	// The kubeconfig of the token webhook, an argument of the API server.
	webhookFlag = "authentication-token-webhook-config-file"

	largestCSR     = 64 << 10
	reviewWithin   = 30 * time.Second
	answerWithin   = 45 * time.Second
	supervisorName = "system:k3s-supervisor"
)

// joiners are the groups of which one is needed for what agents ask.
var joiners = []string{"k3s:agent", "system:nodes", "system:bootstrappers"}

// identity is who asks.
type identity struct {
	user   string
	groups []string
}

func (i identity) joins() bool {
	return slices.ContainsFunc(i.groups, func(group string) bool { return slices.Contains(joiners, group) })
}

// node is the name of the node that this identity is, and whether it is one.
func (i identity) node() (string, bool) {
	name, found := strings.CutPrefix(i.user, "system:node:")
	return name, found && name != "" && slices.Contains(i.groups, "system:nodes")
}

// reviewer says whose token this is; an error means that nobody's it is, or that none could say.
type reviewer func(ctx context.Context, token string) (identity, error)

// supervisor answers agents.
type supervisor struct {
	serverCA, clientCA *authority
	serverCAPEM        []byte
	clientCAPEM        []byte
	apiServer          string // host:port
	review             reviewer
	nodes              *nodeKeeper
}

var errNoCredentials = errors.New("no credentials")

// authenticate takes a certificate of the cluster's before a token, as K3s does.
func (s *supervisor) authenticate(request *http.Request) (identity, error) {
	if who, found := s.byCertificate(request); found {
		return who, nil
	}
	token, found := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if !found || token == "" {
		if request.Header.Get("Authorization") != "" {
			return identity{}, errors.New("not a bearer token")
		}
		return identity{}, errNoCredentials
	}
	ctx, cancel := context.WithTimeout(request.Context(), reviewWithin)
	defer cancel()
	return s.review(ctx, token)
}

func (s *supervisor) byCertificate(request *http.Request) (identity, bool) {
	if request.TLS == nil || len(request.TLS.PeerCertificates) == 0 {
		return identity{}, false
	}
	leaf := request.TLS.PeerCertificates[0]
	roots := x509.NewCertPool()
	roots.AddCert(s.clientCA.certificate)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return identity{leaf.Subject.CommonName, leaf.Subject.Organization}, err == nil
}

func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cacerts", s.give(s.serverCAPEM))
	mux.HandleFunc("GET /ping", s.give([]byte("pong")))
	route := "/v1-" + program + "/"
	join := func(pattern string, handle http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+route+path, s.authenticated(handle))
	}
	join("GET config", s.config)
	join("GET apiservers", s.apiServers)
	join("GET readyz", s.give([]byte("ok")))
	join("GET client-ca.crt", s.give(s.clientCAPEM))
	join("GET server-ca.crt", s.give(s.serverCAPEM))
	join("POST client-kubelet.crt", s.kubeletClient)
	join("POST serving-kubelet.crt", s.kubeletServing)
	// Any joiner gets these, without a name or a password: so it is in K3s.
	join("POST client-kube-proxy.crt", s.shared("system:kube-proxy"))
	join("POST client-"+program+"-controller.crt", s.shared("system:"+program+"-controller"))
	return http.TimeoutHandler(mux, answerWithin, "too late")
}

type identityKey struct{}

func (s *supervisor) authenticated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		who, err := s.authenticate(request)
		switch {
		case errors.Is(err, errNoCredentials):
			http.Error(w, "forbidden", http.StatusForbidden)
		case err != nil:
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		case !who.joins():
			http.Error(w, "forbidden", http.StatusForbidden)
		default:
			next(w, request.WithContext(context.WithValue(request.Context(), identityKey{}, who)))
		}
	}
}

func (s *supervisor) give(contents []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(contents) }
}

// config is the few fields of K3s's answer that the double's own agent needs.
func (s *supervisor) config(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"ClusterDNS":    "10.43.0.10",
		"ClusterDomain": clusterDomain,
		"TestDouble":    true,
	})
}

func (s *supervisor) apiServers(w http.ResponseWriter, _ *http.Request) {
	answer(w, []string{s.apiServer})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (s *supervisor) kubeletClient(w http.ResponseWriter, request *http.Request) {
	name, code, err := s.nodes.check(request)
	if err != nil {
		http.Error(w, err.Error(), code)
		return
	}
	s.sign(w, request, s.clientCA, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "system:node:" + name, Organization: []string{"system:nodes"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (s *supervisor) kubeletServing(w http.ResponseWriter, request *http.Request) {
	name, code, err := s.nodes.check(request)
	if err != nil {
		http.Error(w, err.Error(), code)
		return
	}
	addresses := []net.IP{net.IPv4(127, 0, 0, 1)}
	// Whatever the agent says its addresses are is signed: so it is in K3s.
	for _, text := range strings.Split(request.Header.Get(program+"-Node-IP"), ",") {
		if ip := net.ParseIP(strings.TrimSpace(text)); ip != nil {
			addresses = append(addresses, ip)
		}
	}
	s.sign(w, request, s.serverCA, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name, "localhost"},
		IPAddresses: addresses,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func (s *supervisor) shared(user string) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		s.sign(w, request, s.clientCA, &x509.Certificate{
			Subject:     pkix.Name{CommonName: user},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
	}
}

// sign signs the key of the request's CSR for what the template says; what else the CSR asks for
// does not count. K3s also answers a request without one, with a key that all share: this does not.
func (s *supervisor) sign(w http.ResponseWriter, request *http.Request, by *authority, what *x509.Certificate) {
	body, err := io.ReadAll(io.LimitReader(request.Body, largestCSR))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key, err := keyOfRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	template, err := newTemplate(what.Subject, leafValidity)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	template.DNSNames, template.IPAddresses, template.ExtKeyUsage = what.DNSNames, what.IPAddresses, what.ExtKeyUsage
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key, by.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: by.certificate.Raw})
}

// keyOfRequest reads a CSR, PEM or DER, and checks that its sender has the key.
func keyOfRequest(body []byte) (*ecdsa.PublicKey, error) {
	if block, _ := pem.Decode(body); block != nil {
		body = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(body)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", csr.PublicKey)
	}
	return key, nil
}

// reviewBy asks the token webhook as the supervisor of K3s makes the API server ask it: without
// audiences.
func reviewBy(client *http.Client, url string) reviewer {
	return func(ctx context.Context, token string) (identity, error) {
		review := authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		review.APIVersion, review.Kind = "authentication.k8s.io/v1", "TokenReview"
		body, err := json.Marshal(review)
		if err != nil {
			return identity{}, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return identity{}, err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return identity{}, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return identity{}, fmt.Errorf("the webhook answered %s", response.Status)
		}
		var answered authenticationv1.TokenReview
		if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answered); err != nil {
			return identity{}, err
		}
		if !answered.Status.Authenticated {
			return identity{}, fmt.Errorf("not authenticated: %s", answered.Status.Error)
		}
		return identity{answered.Status.User.Username, answered.Status.User.Groups}, nil
	}
}

// webhook reads the kubeconfig that the API server has for its token webhook.
func webhook(kubeconfig string) (reviewer, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	return reviewBy(&http.Client{Transport: transport, Timeout: reviewWithin}, config.Host), nil
}

// runSupervisor is the component of that name.
func runSupervisor() int {
	flags := flag.NewFlagSet("supervisor", flag.ContinueOnError)
	listen := flags.String("listen", "", "address and port")
	apiServer := flags.String("api-server", "", "address and port of the API server")
	tlsDir := flags.String("tls-dir", "", "folder of the authorities and of the API server's certificate")
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of the supervisor")
	webhookConfig := flags.String("webhook-config", "", "kubeconfig of the token webhook; no token is accepted without")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := serveSupervisor(ctx, *listen, *apiServer, *tlsDir, *kubeconfig, *webhookConfig); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	return 0
}

func serveSupervisor(ctx context.Context, listen, apiServer, tlsDir, kubeconfig, webhookConfig string) error {
	s := &supervisor{apiServer: apiServer}
	for _, ca := range []struct {
		into **authority
		pem  *[]byte
		name string
	}{{&s.serverCA, &s.serverCAPEM, "server-ca"}, {&s.clientCA, &s.clientCAPEM, "client-ca"}} {
		var err error
		if *ca.into, err = loadOrMakeAuthority(tlsDir, ca.name, ca.name); err != nil {
			return err
		}
		if *ca.pem, err = os.ReadFile((*ca.into).certFile); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	s.nodes = newNodeKeeper(client)
	s.review = func(context.Context, string) (identity, error) {
		return identity{}, errors.New("there is no token webhook")
	}
	if webhookConfig != "" {
		if s.review, err = webhook(webhookConfig); err != nil {
			return err
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(tlsDir, "serving-kube-apiserver.crt"), filepath.Join(tlsDir, "serving-kube-apiserver.key"))
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              listen,
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{pair},
			// Asked for, and judged by authenticate.
			ClientAuth: tls.RequestClientCert,
		},
	}
	go s.nodes.completeAll(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

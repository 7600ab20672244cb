package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	readyWithin = 2 * time.Minute
	pollEvery   = 100 * time.Millisecond
	// Ports that the kernel doesn't hand to outgoing connections (its default range begins at
	// 32768), so that a port found free is still free a moment later.
	firstPort, lastPort = 20000, 32000
	portTries           = 100
)

// ready is the one line on standard output that says the control plane is up.
type ready struct {
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
	CAFile     string `json:"caFile"`
	Version    string `json:"version"`
	Millis     int64  `json:"milliseconds"`
}

// runUp starts etcd, the API server, the controller manager and the scheduler as children,
// prints one line of JSON when requests are answered, and stays until it is told to stop or until
// one of them ends.
func runUp() int {
	s, stopWithStdin, err := parseUp(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "control-plane up:", err)
		return 2
	}
	runtime.LockOSThread() // see startProcess
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer cancel()
	if stopWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	if err := up(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "control-plane up:", err)
		return 1
	}
	return 0
}

func parseUp(arguments []string) (*settings, bool, error) {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	var apiserver, controllers, scheduler, sans repeated
	dataDir := flags.String("data-dir", "", "folder of all state, made if missing; authorities and keys that lie in its tls/ are used")
	bind := flags.String("bind-address", "127.0.0.1", "address of the API server")
	port := flags.Int("secure-port", 6443, "port of the API server; 0 takes a free one")
	advertise := flags.String("advertise-address", "", "address published for the service kubernetes; none is published without it")
	kubeconfig := flags.String("write-kubeconfig", "", "where the admin's kubeconfig goes (default <data-dir>/admin.kubeconfig)")
	supervisor := flags.Int("supervisor-port", 0, "port of the double of K3s's supervisor, through which machines join; 0 for none")
	noFsync := flags.Bool("etcd-no-fsync", false, "do not wait for the disk: for tests")
	stopWithStdin := flags.Bool("stop-with-stdin", false, "stop when standard input ends, as it does when the parent dies")
	flags.Var(&sans, "tls-san", "further name or address of the API server (repeatable)")
	flags.Var(&apiserver, "kube-apiserver-arg", "name=value, name+=value or name-=value, as K3s takes it (repeatable)")
	flags.Var(&controllers, "kube-controller-manager-arg", "likewise")
	flags.Var(&scheduler, "kube-scheduler-arg", "likewise")
	if err := flags.Parse(arguments); err != nil {
		return nil, false, err
	}
	if flags.NArg() > 0 {
		return nil, false, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if *dataDir == "" {
		return nil, false, errors.New("--data-dir is needed")
	}
	dir, err := filepath.Abs(*dataDir)
	if err != nil {
		return nil, false, err
	}
	ip := net.ParseIP(*bind)
	if ip == nil {
		return nil, false, fmt.Errorf("--bind-address %q is no address", *bind)
	}
	if *advertise != "" && net.ParseIP(*advertise) == nil {
		return nil, false, fmt.Errorf("--advertise-address %q is no address", *advertise)
	}
	s := &settings{
		dataDir: dir, bindAddress: ip, securePort: *port, advertiseAddress: *advertise, sans: sans,
		kubeconfig: *kubeconfig, noFsync: *noFsync, supervisorPort: *supervisor,
		apiserver: apiserver, controllers: controllers, scheduler: scheduler,
	}
	if s.kubeconfig == "" {
		s.kubeconfig = s.path("admin.kubeconfig")
	}
	if s.securePort == 0 {
		if s.securePort, err = freePort(ip); err != nil {
			return nil, false, err
		}
	}
	return s, *stopWithStdin, nil
}

func freePort(ip net.IP) (int, error) {
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		listener, err := net.Listen("tcp", net.JoinHostPort(ip.String(), strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d on %s", firstPort, lastPort, ip)
}

func up(ctx context.Context, s *settings) error {
	started := time.Now()
	unlock, err := lockDataDir(s)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := makePKI(s)
	if err != nil {
		return err
	}
	if err := makeKubeconfigs(s, p); err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("logs"), 0o700); err != nil {
		return err
	}

	var running []*process
	// In the reverse order: who uses a component stops before it does.
	defer func() {
		for i := len(running) - 1; i >= 0; i-- {
			running[i].stop()
		}
	}()
	ended := make(chan *process, 5)
	start := func(c component) error {
		child, err := startProcess(c, s.path("logs"))
		if err != nil {
			return err
		}
		running = append(running, child)
		go func() {
			<-child.done
			ended <- child
		}()
		return nil
	}
	// The API server waits for etcd by itself, the other two are started when it answers: they
	// would only log refusals and back off.
	for _, c := range []component{etcdComponent(s), apiserverComponent(s, p)} {
		if err := start(c); err != nil {
			return err
		}
	}
	client, err := newClient(s)
	if err != nil {
		return err
	}
	// Namespaces first: clients begin in one.
	if err := waitFor(ctx, s, client, ended, "/readyz", "/api/v1/namespaces/default"); err != nil {
		return unlessStopped(ctx, err)
	}
	late := []component{controllerManagerComponent(s, p), schedulerComponent(s)}
	if s.supervisorPort != 0 {
		late = append(late, supervisorComponent(s))
	}
	for _, c := range late {
		if err := start(c); err != nil {
			return err
		}
	}
	// Made by the controller manager; no pod is admitted before.
	if err := waitFor(ctx, s, client, ended, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return unlessStopped(ctx, err)
	}
	version, err := client.ServerVersion()
	if err != nil {
		return unlessStopped(ctx, err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready{
		s.url(), s.kubeconfig, p.serverCA.certFile, version.GitVersion, time.Since(started).Milliseconds(),
	}); err != nil {
		return err
	}
	select {
	case child := <-ended:
		return child.failure()
	case <-ctx.Done():
		return nil
	}
}

// lockDataDir refuses a second control plane on one folder.
func lockDataDir(s *settings) (func(), error) {
	if err := os.MkdirAll(s.dataDir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another control plane: %w", s.dataDir, err)
	}
	return func() { lock.Close() }, nil
}

// unlessStopped drops the error of a start that was told to stop.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func newClient(s *settings) (*discovery.DiscoveryClient, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = 5 * time.Second
	return discovery.NewDiscoveryClientForConfig(config)
}

// waitFor polls the paths until all are answered well, or a component ends.
func waitFor(ctx context.Context, s *settings, client *discovery.DiscoveryClient, ended <-chan *process, paths ...string) error {
	deadline := time.After(readyWithin)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := answers(ctx, client, paths)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case child := <-ended:
			return child.failure()
		case <-deadline:
			return fmt.Errorf("not ready within %s: %w; see %s", readyWithin, err, s.path("logs"))
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, client *discovery.DiscoveryClient, paths []string) error {
	for _, path := range paths {
		if err := client.RESTClient().Get().AbsPath(path).Do(ctx).Error(); err != nil {
			return err
		}
	}
	return nil
}

// repeated is a flag that may be given many times.
type repeated []string

func (r *repeated) String() string { return strings.Join(*r, " ") }

func (r *repeated) Set(value string) error {
	*r = append(*r, value)
	return nil
}

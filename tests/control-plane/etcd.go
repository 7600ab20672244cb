package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// maxSocketPath is what the kernel allows in sun_path, less its terminating zero.
const maxSocketPath = 107

// etcdReadyWithin bounds the wait for a store that has to replay its log first.
const etcdReadyWithin = 60 * time.Second

// etcdClientSocket is where the API server finds etcd: a Unix socket in a private folder, so that
// no other user of the machine can reach past the API server, and no port is taken.
func etcdClientSocket(dir string) string { return filepath.Join(dir, "client.sock") }

func etcdPeerSocket(dir string) string { return filepath.Join(dir, "peer.sock") }

// runEtcd serves a single-member etcd on a Unix socket until it is told to stop.
func runEtcd() int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dir := flags.String("data-dir", "", "folder of the store and of its sockets (made if missing)")
	noFsync := flags.Bool("no-fsync", false, "do not wait for the disk: faster, and lost with a power cut")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	if err := serveEtcd(*dir, *noFsync); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	return 0
}

func serveEtcd(dir string, noFsync bool) error {
	config, err := etcdConfig(dir, noFsync)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	server, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(etcdReadyWithin):
		return fmt.Errorf("not ready within %s", etcdReadyWithin)
	case err := <-server.Err():
		return err
	case <-stop:
		return nil
	}
	select {
	case err := <-server.Err():
		return err
	case <-stop:
		return nil
	}
}

func etcdConfig(dir string, noFsync bool) (*embed.Config, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("--data-dir %q is not absolute", dir)
	}
	client, peer := etcdClientSocket(dir), etcdPeerSocket(dir)
	if len(client) > maxSocketPath {
		return nil, fmt.Errorf("%s has %d bytes, a socket's path may have %d: choose a shorter data folder",
			client, len(client), maxSocketPath)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Left by a run that was killed; bind refuses a path that exists.
	for _, socket := range []string{client, peer} {
		if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	config := embed.NewConfig()
	config.Name = "control-plane"
	config.Dir = filepath.Join(dir, "member-data")
	config.LogLevel = "warn"
	config.UnsafeNoFsync = noFsync
	// Zero (the default of a configuration made in code) would log every request.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: client}}
	// The peer listener takes the socket's name from the URL's host, so a path goes there.
	config.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: peer}}
	// A single member calls no peer and nobody looks up its address; these only have to be of the
	// right shape.
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	return config, nil
}

// Command busy is all that the images of test pods hold.
//
//	busy pause    waits for ever and buries orphans, as the first process of a pod must
//	busy serve    answers HTTP on port 8080 with the host name, and prints a line a second
//	busy sleep    waits for ever
//	busy tick     prints a line a second
//	busy watch U  watches U at the API server with the pod's account, and says when that begins
//	              and when it ends, again and again
//	busy echo A…  prints its arguments
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	command := "sleep"
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "echo":
		fmt.Println(strings.Join(os.Args[2:], " "))
		return
	case "serve":
		go serve()
		go tick()
	case "tick":
		go tick()
	case "watch":
		go watch(os.Args[2])
	case "pause":
		go bury()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

func serve() {
	name, _ := os.Hostname()
	err := http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, name)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func tick() {
	for range time.Tick(time.Second) {
		fmt.Println(time.Now().UTC().Format(time.RFC3339))
	}
}

func watch(url string) {
	say := func(what ...any) {
		fmt.Println(append([]any{time.Now().UnixMilli()}, what...)...)
	}
	for ; ; time.Sleep(200 * time.Millisecond) {
		answer, err := begin(url)
		if err != nil {
			say("failed", err)
			continue
		}
		if answer.StatusCode != http.StatusOK {
			say("refused", answer.StatusCode)
			answer.Body.Close()
			continue
		}
		body := bufio.NewReader(answer.Body)
		if _, err = body.ReadString('\n'); err == nil {
			say("watching")
			_, err = io.Copy(io.Discard, body)
		}
		answer.Body.Close()
		say("ended", err)
	}
}

// Begins a watch on a connection of its own.
func begin(url string) (*http.Response, error) {
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots},
	}
	return (&http.Client{Transport: transport}).Do(request)
}

func bury() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}

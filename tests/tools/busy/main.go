// Command busy is all that the images of test pods hold.
//
//	busy pause    waits for ever and buries orphans, as the first process of a pod must
//	busy serve    answers HTTP on port 8080 with the host name, and prints a line a second
//	busy sleep    waits for ever
//	busy echo A…  prints its arguments
package main

import (
	"fmt"
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
		go func() {
			for range time.Tick(time.Second) {
				fmt.Println(time.Now().UTC().Format(time.RFC3339))
			}
		}()
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

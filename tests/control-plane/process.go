package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// What an orderly end may take; an API server waits for its open watches.
	stopWithin = 5 * time.Second
	// How much of a dead component's log is worth showing.
	logTail = 4 << 10
)

// process is a running component.
type process struct {
	name    string
	command *exec.Cmd
	logFile string
	done    chan struct{} // closed once it has ended
	err     error         // how it ended; read after done
}

// startProcess runs this binary under the component's name. The caller's goroutine must be locked
// to its thread for as long as the child shall live: the kernel ends a child with the *thread*
// that made it, and so none outlives this process, however it ends.
func startProcess(c component, logDir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProgram(c.name, logDir, self, append([]string{c.name}, c.arguments...)...)
}

// startProgram does the same for another program.
func startProgram(name, logDir, program string, arguments ...string) (*process, error) {
	logFile := filepath.Join(logDir, name+".log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = log, log
	// Of its own group: Ctrl-C comes to us alone, and we choose the order in which to stop.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &process{name: name, command: command, logFile: logFile, done: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks for an orderly end and then insists.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		_ = p.command.Process.Kill()
		<-p.done
	}
}

// failure says how a component ended that should not have, with the end of its log.
func (p *process) failure() error {
	return fmt.Errorf("%s ended (%v); the end of %s:\n%s", p.name, p.err, p.logFile, tail(p.logFile, logTail))
}

func tail(file string, size int64) []byte {
	f, err := os.Open(file)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > size {
		_, _ = f.Seek(-size, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(f, size))
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text)
}

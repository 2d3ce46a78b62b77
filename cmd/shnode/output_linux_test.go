package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startLogging runs a node, as prelude leaves its signals, that logs into a pipe. That may be full.
func startLogging(t *testing.T, prelude string, full bool) (node *exec.Cmd, log *os.File, ask func(args ...string)) {
	home, passphraseFile := testHome(t)
	if exit, _, stderr := runHere(t.Context(), "--home", home, "init", "--cost", "17", "--passphrase-file", passphraseFile); exit != 0 {
		t.Fatal(stderr)
	}
	log, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	t.Cleanup(func() { log.Close() })
	fd := int(theirs.Fd())
	unix.SetNonblock(fd, true)
	for full && err == nil {
		_, err = unix.Write(fd, make([]byte, 1<<12))
	}
	unix.SetNonblock(fd, false)

	node = exec.CommandContext(t.Context(), "sh", "-c", prelude+`exec "$@"`, "sh", shnode(t), "--home", home, "run",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-file", passphraseFile)
	node.Stderr = theirs
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Process.Kill(); node.Wait() })
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if !strings.HasPrefix(text, "ready ") {
			t.Fatalf("no ready line: %q", text)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not get ready")
	}
	return node, log, func(args ...string) {
		t.Helper()
		if exit, _, stderr := runHere(t.Context(), append([]string{"--home", home}, args...)...); exit != 0 {
			t.Fatalf("%q: exit %d: %s", args, exit, stderr)
		}
	}
}

const somePeer = "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"

// stopNode ends a node as an init system does: it has to end, and well.
func stopNode(t *testing.T, node *exec.Cmd) {
	t.Helper()
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it does not heed SIGTERM")
	}
}

// A log that nobody reads hangs nothing. Once it is read, all is there.
func TestLogStuck(t *testing.T) {
	node, log, ask := startLogging(t, "", true)
	ask("peer", "add", "x", somePeer)
	ask("peer", "rm", "x")
	stopNode(t, node)

	node, log, ask = startLogging(t, "", true)
	ask("peer", "add", "x", somePeer)
	ask("peer", "rm", "x")
	text := make(chan []byte, 1)
	go func() {
		var all bytes.Buffer
		all.ReadFrom(log)
		text <- all.Bytes()
	}()
	stopNode(t, node)
	all := string(<-text)
	added, removed, stopping := strings.Index(all, "peer added"), strings.Index(all, "peer removed"), strings.Index(all, "msg=stopping")
	if added < 0 || removed < added || stopping < removed || strings.Contains(all, "log lines lost") {
		t.Errorf("the log: %s", strings.Trim(all, "\x00"))
	}
}

// A node outlives who read its log, whatever SIGPIPE was meant to do.
func TestLogReaderGone(t *testing.T) {
	for _, prelude := range []string{"", "trap '' PIPE; "} {
		node, log, ask := startLogging(t, prelude, false)
		log.Close()
		for range 2 {
			ask("peer", "add", "x", somePeer)
			ask("peer", "rm", "x")
		}
		stopNode(t, node)
	}
}

// A signal that was ignored when the node started is none to it.
func TestIgnoredSignals(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT} {
		node, log, ask := startLogging(t, "trap '' "+name+"; ", false)
		go new(bytes.Buffer).ReadFrom(log)
		if err := node.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		ask("lock") // it ends the zone and starts another, while a node that stops would be done
		ask("status")
		ask("peer", "add", "x", somePeer)
		stopNode(t, node)
	}
}

package itest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestTermInTheMiddle: what is in flight when SIGTERM comes is answered, and
// what was acknowledged is there after the next start.
func TestTermInTheMiddle(t *testing.T) {
	home := newHome(t)
	p := run(t, home)
	c := p.dial(t)

	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	acknowledged := writers(t.Context(), t, p, 8)
	acknowledgedSome(t, p)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	names := <-acknowledged
	if code := p.wait(t); code != 0 {
		t.Errorf("it ended with %d: %s", code, &p.out)
	}
	if _, err := os.Lstat(filepath.Join(home, "shnode.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	gone(t, home)

	p = run(t, home)
	c = p.dial(t)
	// Unlocking takes a while, in a zone of its own: this time it is told to stop in the middle of that.
	unlocked := make(chan error, 1)
	zone := zonePID(t, c)
	go func() { unlocked <- c.Unlock(t.Context(), []byte(passphrase)) }()
	until(t, "a zone hashes the passphrase", func() bool { return hashes(p.cmd.Process.Pid, zone) })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-unlocked; err != nil {
		t.Errorf("what was in flight is answered with %v", err)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("it ended with %d: %s", code, &p.out)
	}

	p = run(t, home)
	c = p.dial(t)
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(t.Context()); err != nil || st.Recovered {
		t.Errorf("after an end in good order: %v, %v", st, err)
	}
	wantAll(t, c, names)
}

// TestKilledNode: the node is killed while keys are made. Its zone ends with it;
// what was acknowledged is there after the next start.
func TestKilledNode(t *testing.T) {
	home := newHome(t)
	p := run(t, home)
	c := p.dial(t)
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	zone := zonePID(t, c)
	acknowledged := writers(t.Context(), t, p, 8)
	acknowledgedSome(t, p)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	names := <-acknowledged
	p.wait(t)
	gone(t, home)
	until(t, "the zone ends", func() bool { return !alive(zone) })

	p = run(t, home) // over the socket and the lock that are left
	c = p.dial(t)
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	wantAll(t, c, names)
}

// TestKilledZone: the zone is killed while keys are made and used. Every request
// is answered, the node stays up and starts another zone; when that is unlocked,
// what was acknowledged is there.
func TestKilledZone(t *testing.T) {
	p := run(t, newHome(t))
	c := p.dial(t)
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	first := zonePID(t, c)
	if _, err := c.GenerateKey(t.Context(), benchKey, protocol.Ed25519, false); err != nil {
		t.Fatal(err)
	}
	signers := make(chan error, 8)
	for range cap(signers) {
		go func() {
			for {
				if _, err := c.Sign(t.Context(), benchKey, []byte("m")); err != nil {
					signers <- err
					return
				}
			}
		}()
	}
	acknowledged := writers(t.Context(), t, p, 8)
	acknowledgedSome(t, p)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range cap(signers) {
		if err := <-signers; !errors.Is(err, protocol.ErrLocked) {
			t.Errorf("a signer's last answer: %v", err)
		}
	}
	names := <-acknowledged
	var st *protocol.NodeStatus
	until(t, "another zone runs", func() (is bool) {
		var err error
		if st, err = c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		return st.GetZone().GetPid() != 0 && int(st.Zone.Pid) != first
	})
	if !st.Locked || !strings.Contains(st.Zone.Ended, "signal 9") {
		t.Errorf("the status says %v", st)
	}
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	wantAll(t, c, names)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("it ended with %d: %s", code, &p.out)
	}
}

// hashes says whether a process has a child beside its zone that has computed for a while.
func hashes(parent, zone int) bool {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		s := stat(pid) // state, parent, …, and as the twelfth the ticks it has computed
		if pid == zone || len(s) < 12 || s[1] != strconv.Itoa(parent) {
			continue
		}
		if ticks, _ := strconv.Atoi(s[11]); ticks > 2 {
			return true
		}
	}
	return false
}

func zonePID(t testing.TB, c protocol.Client) int {
	t.Helper()
	st, err := c.Status(t.Context())
	if err != nil || st.GetZone().GetPid() == 0 {
		t.Fatalf("the zone's status: %v, %v", st, err)
	}
	return int(st.Zone.Pid)
}

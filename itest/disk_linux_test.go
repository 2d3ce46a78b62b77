package itest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// stat returns the fields of /proc/PID/stat that come after the name, of which
// the first is the state; nil if there is no such process.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
}

// alive says whether a process runs. One that nobody has waited for does not.
func alive(pid int) bool {
	s := stat(pid)
	return s != nil && s[0] != "Z" && s[0] != "X"
}

// TestFullDisk fills the disk that the home is on: nothing is acknowledged that
// is not on it, and when there is room again everything goes on.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("no small disk to be had: mounting one needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	home := newHomeIn(t, disk)
	p := run(t, home)
	c := p.dial(t)
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	var names []string
	write := func() error {
		name := fmt.Sprint(len(names))
		_, err := c.GenerateKey(t.Context(), written(name), protocol.Ed25519, false)
		if err == nil {
			names = append(names, name)
		}
		return err
	}
	for range 10 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	// A file of somebody else fills the disk but for a little.
	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for page := make([]byte, 4<<10); ; {
		if _, err := ballast.Write(page); err != nil {
			break
		}
	}
	full := error(nil)
	for range 1000 {
		if full = write(); full != nil {
			break
		}
	}
	wantError(t, full, protocol.ErrNoSpace)
	wantError(t, write(), protocol.ErrNoSpace) // it stays so, and the node is well
	wantAll(t, c, names)
	_, _, err = c.PublicKey(t.Context(), written(fmt.Sprint(len(names))))
	wantError(t, err, protocol.ErrNotFound) // what was refused was not done

	if err := ballast.Truncate(0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := write(); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("it ended with %d: %s", code, &p.out)
	}
	p = run(t, home)
	c = p.dial(t)
	if err := c.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	wantAll(t, c, names)
}

package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestLongPath: a home may lie deeper than a socket's path can say.
func TestLongPath(t *testing.T) {
	home := t.TempDir()
	for len(home) < 4*maxPath {
		home = filepath.Join(home, strings.Repeat("d", 60))
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	_, stop := serve(t, home, echo)
	if err := ask(t, home); err != nil {
		t.Error(err)
	}
	if _, err := Listen(home); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	info, err := os.Lstat(filepath.Join(home, SocketName))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("its mode is %v, %v", info, err)
	}
	stop()
	if err := ask(t, home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("once it is stopped: %v", err)
	}
}

// TestPathLengths goes through the lengths around the limit.
func TestPathLengths(t *testing.T) {
	base := t.TempDir()
	for n := maxPath - len(SocketName) - 3; n <= maxPath+1; n++ {
		pad := n - len(base) - 1
		if pad < 1 || pad > 255 {
			t.Skip("the temporary folder's name is too long")
		}
		home := filepath.Join(base, strings.Repeat("d", pad))
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		_, stop := serve(t, home, echo)
		if err := ask(t, home); err != nil {
			t.Errorf("home of %d bytes: %v", len(home), err)
		}
		stop()
	}
}

// TestForeign: another user finds the door shut, even if every mode lets him
// through, and is told why; and root gets no more from a user's node.
func TestForeign(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a program as another user")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A copy, in a place where another user may run it.
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	const other = 65534 // nobody
	as := func(uid uint32, do, home string) string {
		cmd := exec.Command(program)
		cmd.Env = []string{"CONTROL_TEST_DIAL=" + home, "CONTROL_TEST_DO=" + do}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, home, echo)

	if got := as(0, "dial", home); got != "answered" {
		t.Errorf("the same user: %s", got)
	}
	if got := as(other, "dial", home); !strings.Contains(got, "permission denied") {
		t.Errorf("another user: %s", got)
	}
	// Now with every mode wide open: who he is still tells.
	if err := errors.Join(os.Chmod(home, 0o777), os.Chmod(filepath.Join(home, SocketName), 0o777)); err != nil {
		t.Fatal(err)
	}
	if got := as(other, "dial", home); got != ErrForeign.Error() {
		t.Errorf("another user, by an open door: %s", got)
	}
	// And one who does not look who he talks to is not listened to.
	if got := as(other, "trust", home); got != "hung up" {
		t.Errorf("another user, who trusts anybody: %s", got)
	}
	if got := as(other, "listen", home); got != ErrOpenHome.Error() && got != ErrForeign.Error() {
		t.Errorf("another user, in this home: %s", got)
	}

	// The other way round: the home is another user's, and this is root.
	theirs := filepath.Join(dir, "theirs")
	if err := errors.Join(os.Mkdir(theirs, 0o700), os.Chown(theirs, other, other)); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(theirs); !errors.Is(err, ErrForeign) {
		t.Errorf("root in another's home: %v", err)
	}
}

func init() { foreign = beForeign }

// beForeign is what the program does that TestForeign starts.
func beForeign(home string) {
	fmt.Println(func() string {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		switch os.Getenv("CONTROL_TEST_DO") {
		case "dial":
			conn, err := Dial(ctx, home)
			if err != nil {
				return err.Error()
			}
			defer conn.Close()
			if _, err := (protocol.Client{H: conn}).Do(ctx, &protocol.Request{Operation: "policy.show"}); err != nil {
				return err.Error()
			}
			return "answered"
		case "trust":
			raw, err := net.Dial("unix", filepath.Join(home, SocketName))
			if err != nil {
				return err.Error()
			}
			conn := protocol.NewConn(raw)
			defer conn.Close()
			if _, err := (protocol.Client{H: conn}).Do(ctx, &protocol.Request{Operation: "policy.show"}); err == nil {
				return "answered"
			}
			return "hung up"
		case "listen":
			l, err := Listen(home)
			if err != nil {
				return err.Error()
			}
			l.Close()
			return "listened"
		}
		return "nothing to do"
	}())
}

package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stronghold-go/stronghold/protocol"
)

// foreign, where there is one, is what this program does when TestForeign starts it.
var foreign func(home string)

func TestMain(m *testing.M) {
	if home := os.Getenv("CONTROL_TEST_DIAL"); home != "" && foreign != nil {
		foreign(home)
		return
	}
	goleak.VerifyTestMain(m)
}

// within is how long a test waits for what must happen.
const within = 20 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

// newHome is a folder as a node's home is.
func newHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}

// echo answers with the request's operation.
var echo = protocol.HandlerFunc(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
	return &protocol.Response{Status: protocol.Status_OK, Text: req.Operation}, nil
})

// serve serves a home until the test ends, or stop is called.
func serve(t *testing.T, home string, h protocol.Handler) (l *Listener, stop func()) {
	t.Helper()
	l, err := Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return l, stop
}

func ask(t *testing.T, home string) error {
	t.Helper()
	conn, err := Dial(testContext(t), home)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = protocol.Client{H: conn}.Do(testContext(t), &protocol.Request{Operation: "policy.show"})
	return err
}

func TestServe(t *testing.T) {
	home := newHome(t)
	_, stop := serve(t, home, echo)
	if err := ask(t, home); err != nil {
		t.Fatal(err)
	}
	// The door is the local one: what is for the zone is not for people.
	conn, err := Dial(testContext(t), home)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for operation, want := range map[string]error{"node.lock": nil, "zone.fold": protocol.ErrUnsupported, "x": protocol.ErrUnsupported} {
		if _, err := (protocol.Client{H: conn}).Do(testContext(t), &protocol.Request{Operation: operation}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", operation, err, want)
		}
	}
	stop()
	if _, err := os.Lstat(filepath.Join(home, SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := ask(t, home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("once it is stopped: %v", err)
	}
}

// TestRights: the socket is the user's alone, whatever the umask says.
func TestRights(t *testing.T) {
	home := newHome(t)
	serve(t, home, echo)
	info, err := os.Lstat(filepath.Join(home, SocketName))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	entries, _ := os.ReadDir(home)
	if len(entries) != 1 {
		t.Errorf("there is more in the home: %v", entries)
	}
}

func TestOpenHome(t *testing.T) {
	home := newHome(t)
	for _, mode := range []os.FileMode{0o701, 0o710, 0o704, 0o755, 0o777} {
		os.Chmod(home, mode)
		if l, err := Listen(home); !errors.Is(err, ErrOpenHome) {
			l.Close()
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	os.Chmod(home, 0o700)
	if _, err := Listen(filepath.Join(home, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no home: %v", err)
	}
	if err := ask(t, filepath.Join(home, "gone")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no home: %v", err)
	}
}

// TestStale: the socket of a node that died is no socket in use.
func TestStale(t *testing.T) {
	home := newHome(t)
	path := filepath.Join(home, SocketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if err := ask(t, home); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before: %v", err)
	}
	serve(t, home, echo)
	if err := ask(t, home); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestInUse(t *testing.T) {
	home := newHome(t)
	serve(t, home, echo)
	if _, err := Listen(home); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
	if err := ask(t, home); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
}

// TestNotASocket: a file of that name is nobody's to remove.
func TestNotASocket(t *testing.T) {
	home := newHome(t)
	path := filepath.Join(home, SocketName)
	if err := os.WriteFile(path, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(home); err == nil {
		t.Error("it was replaced")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "a file" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

// TestCloseLeavesAnothersSocket: a listener that was replaced removes only its own.
func TestCloseLeavesAnothersSocket(t *testing.T) {
	home := newHome(t)
	l, err := Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(home, SocketName))
	serve(t, home, echo)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := ask(t, home); err != nil {
		t.Errorf("the other one is gone: %v", err)
	}
}

// TestInFlight: a request that was read is answered, though the node stops.
func TestInFlight(t *testing.T) {
	home := newHome(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	l, stop := serve(t, home, protocol.HandlerFunc(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		close(arrived)
		<-release
		return &protocol.Response{Status: protocol.Status_OK}, nil
	}))
	answered := make(chan error, 1)
	go func() { answered <- ask(t, home) }()
	<-arrived
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	for l.socket.SetDeadline(time.Time{}) == nil { // until nothing is accepted any more
		select {
		case <-stopped:
			t.Fatal("stopped with a request in flight")
		case <-time.After(time.Millisecond):
		}
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("got %v", err)
	}
	<-stopped
}

// TestHandlerFails: an error's words stay here, a refusal in it does not.
func TestHandlerFails(t *testing.T) {
	home := newHome(t)
	serve(t, home, protocol.HandlerFunc(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		if req.Operation == "node.lock" {
			return nil, fmt.Errorf("inner words: %w", &protocol.Error{Status: protocol.Status_UNAVAILABLE, Detail: "for a person"})
		}
		return nil, errors.New("inner words")
	}))
	conn, err := Dial(testContext(t), home)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for operation, want := range map[string]protocol.Status{"node.lock": protocol.Status_UNAVAILABLE, "policy.show": protocol.Status_INTERNAL} {
		_, err := protocol.Client{H: conn}.Do(testContext(t), &protocol.Request{Operation: operation})
		var refusal *protocol.Error
		if !errors.As(err, &refusal) || refusal.Status != want || strings.Contains(err.Error(), "inner") {
			t.Errorf("%s: got %v", operation, err)
		}
	}
}

// TestBadBytes: what is no frame ends its own connection, and no other.
func TestBadBytes(t *testing.T) {
	home := newHome(t)
	serve(t, home, echo)
	for _, in := range []string{"GET / HTTP/1.1\r\n" + strings.Repeat("a", 100), "\xff\xff\xff\xff", "\x00"} {
		conn, err := dial(testContext(t), home)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(within))
		conn.Write([]byte(in))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: got %d bytes, %v", in, n, err)
		}
		conn.Close()
	}
	if err := ask(t, home); err != nil {
		t.Error(err)
	}
}

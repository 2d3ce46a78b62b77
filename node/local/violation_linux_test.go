package local_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/engine"
)

// breaking is a zone with the engine in it, which does what no engine does when it
// is to sign one of these messages. Only the binary of these tests has it.
const breaking = "engine that breaks"

var breaks = map[string]func(){
	"open":   func() { os.Open("/etc/passwd") },
	"socket": func() { syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0) },
	"exec":   func() { syscall.Exec("/bin/true", nil, nil) },
	"fork":   func() { os.StartProcess("/bin/true", nil, &os.ProcAttr{}) },
	"kill":   func() { syscall.Kill(1, syscall.SIGTERM) },
	"ptrace": func() { syscall.PtraceAttach(1) },
	"executable map": func() {
		syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	},
	"another write": func() { syscall.Write(1, []byte("x")) },
}

// fatal is what Go does not recover from, and panicking what it does.
const fatal, panicking = "fatal", "panic"

func init() {
	sandbox.Gate(breaking, engine.ArenaSize, func(in sandbox.Inside) (sandbox.Handler, error) {
		e, err := engine.New(in.Arena)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, request []byte) ([]byte, error) {
			req := new(protocol.Request)
			if err := protocol.Unmarshal(request, req); err == nil && req.Operation == "ed25519.sign" {
				switch what := string(req.Message); {
				case breaks[what] != nil:
					breaks[what]()
				case what == fatal:
					new(sync.Mutex).Unlock()
				case what == panicking:
					panic("a secret value")
				}
			}
			return e.Serve(ctx, request)
		}, nil
	})
}

// A logged is a log that a test reads while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openBreaking opens a home with such a zone.
func openBreaking(t *testing.T) (*local.Stronghold, *logged) {
	t.Helper()
	log := new(logged)
	cfg := local.InZone(quickHome(t), breaking)
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return open(t, cfg), log
}

func status(t testing.TB, s *local.Stronghold) *protocol.NodeStatus {
	t.Helper()
	st, err := s.Client().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// filtered says whether zones of this build have their filter.
func filtered(st *protocol.NodeStatus) bool {
	for _, l := range st.Zone.Layers {
		if l.Name == "syscall filter" {
			return l.Active
		}
	}
	return false
}

// A request that has the zone break its filter ends the zone, and the operator is
// told so. The node goes on: it answers that it is locked, and starts another zone,
// which is unlocked like the first.
func TestViolation(t *testing.T) {
	for what := range breaks {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // the next zone is waited for
			s, log := openBreaking(t)
			before := status(t, s)
			if !filtered(before) {
				t.Skip("a zone of this build has no filter")
			}
			unlock(t, s)
			c := s.Client()
			if _, err := c.GenerateKey(t.Context(), loc(t, "c/v/r"), protocol.Ed25519, false); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte(what)); !errors.Is(err, protocol.ErrLocked) {
				t.Errorf("the request is answered with %v", err)
			}
			if _, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte("m")); !errors.Is(err, protocol.ErrLocked) {
				t.Errorf("the next request is answered with %v", err)
			}
			const told = "ended by the syscall filter"
			until(t, "another zone", func() bool {
				st := status(t, s)
				return st.Zone.Pid != 0 && st.Zone.Pid != before.Zone.Pid
			})
			if st := status(t, s); !st.Locked || !strings.Contains(st.Zone.Ended, told) {
				t.Errorf("the status says %v", st)
			}
			if !strings.Contains(log.String(), told) {
				t.Errorf("the log says %s", log)
			}
			unlock(t, s)
			if _, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte("m")); err != nil {
				t.Errorf("after unlock: %v", err)
			}
		})
	}
}

// A panic of the engine answers its request, and nothing else happens.
func TestPanicInside(t *testing.T) {
	s, log := openBreaking(t)
	unlock(t, s)
	before := status(t, s)
	c := s.Client()
	if _, err := c.GenerateKey(t.Context(), loc(t, "c/v/r"), protocol.Ed25519, false); err != nil {
		t.Fatal(err)
	}
	_, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte(panicking))
	if !errors.Is(err, sandbox.ErrPanicked) || strings.Contains(err.Error()+log.String(), "a secret value") {
		t.Errorf("answered with %v; logged %s", err, log)
	}
	if after := status(t, s); after.Locked || after.Zone.Pid != before.Zone.Pid {
		t.Errorf("the status after it: %v", after)
	}
}

// A request that kills the zone again and again does not have the node start zones
// as fast as it can: each pause is longer than the one before. Meanwhile the node
// answers, and closes at once when it is told to.
func TestNoCrashLoop(t *testing.T) {
	s, log := openBreaking(t)
	c := s.Client()
	kill := func() {
		t.Helper()
		unlock(t, s)
		if _, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte(fatal)); !errors.Is(err, protocol.ErrLocked) {
			t.Fatalf("the killing request is answered with %v", err)
		}
	}
	const deaths = 4
	for n := range deaths {
		before := status(t, s).Zone.Pid
		died := time.Now()
		kill()
		until(t, "another zone", func() bool {
			st := status(t, s)
			return st.Zone.Pid != 0 && st.Zone.Pid != before
		})
		if pause, want := time.Since(died), time.Duration(n*n)*100*time.Millisecond; pause < want {
			t.Errorf("after death %d the next zone was there in %v, want no less than %v", n+1, pause, want)
		}
	}
	kill()
	until(t, "the zone's end is noticed", func() bool { return status(t, s).Zone.Pid == 0 })
	if st := status(t, s); !st.Locked || !strings.Contains(st.Zone.Ended, "exited with status 2") {
		t.Errorf("the status in a pause: %v", st)
	}
	if err := c.Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrLocked) && !errors.Is(err, protocol.ErrUnavailable) {
		t.Errorf("unlock in a pause: %v", err)
	}
	if _, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte("m")); !errors.Is(err, protocol.ErrLocked) {
		t.Errorf("a request in a pause: %v", err)
	}
	if n := strings.Count(log.String(), "zone ended"); n != deaths+1 {
		t.Errorf("%d deaths are logged, of %d", n, deaths+1)
	}
	if err := s.Close(); err != nil { // in the pause
		t.Error(err)
	}
}

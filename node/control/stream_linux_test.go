package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// socketPair is a stream and the other end of its socket.
func socketPair(t *testing.T) (*stream, *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := streamOf(here).(*stream)
	if !ok {
		t.Fatal("a socket that stayed with the poller")
	}
	t.Cleanup(func() {
		there.Close()
		s.Close()
	})
	there.SetDeadline(time.Now().Add(within))
	return s, there
}

func watched(s *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watched != nil
}

// TestStream: whether the poller watches a stream makes no difference to it.
func TestStream(t *testing.T) {
	soon := func(f func()) { time.AfterFunc(5*time.Millisecond, f) }
	read := func(t *testing.T, s *stream, want string) {
		t.Helper()
		b := make([]byte, 10)
		if n, err := s.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	fails := func(t *testing.T, s *stream, want error) {
		t.Helper()
		if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
			t.Fatalf("%d, %v; want %v", n, err, want)
		}
	}
	for name, c := range map[string]func(t *testing.T, s *stream, there *net.UnixConn){
		"something to read": func(t *testing.T, s *stream, there *net.UnixConn) {
			there.Write([]byte("ab"))
			read(t, s, "ab")
		},
		"something later": func(t *testing.T, s *stream, there *net.UnixConn) {
			soon(func() { there.Write([]byte("ab")) })
			read(t, s, "ab")
		},
		"the end": func(t *testing.T, s *stream, there *net.UnixConn) {
			there.Close()
			fails(t, s, io.EOF)
		},
		"the end later": func(t *testing.T, s *stream, there *net.UnixConn) {
			soon(func() { there.Close() })
			fails(t, s, io.EOF)
		},
		"a deadline that has passed": func(t *testing.T, s *stream, there *net.UnixConn) {
			there.Write([]byte("ab"))
			s.SetReadDeadline(time.Unix(1, 0))
			fails(t, s, os.ErrDeadlineExceeded)
			s.SetReadDeadline(time.Time{})
			read(t, s, "ab")
		},
		"a deadline that passes": func(t *testing.T, s *stream, there *net.UnixConn) {
			s.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			fails(t, s, os.ErrDeadlineExceeded)
		},
		"a deadline that is set meanwhile": func(t *testing.T, s *stream, there *net.UnixConn) {
			soon(func() { s.SetReadDeadline(time.Unix(1, 0)) })
			fails(t, s, os.ErrDeadlineExceeded)
		},
		"closed": func(t *testing.T, s *stream, there *net.UnixConn) {
			s.Close()
			fails(t, s, net.ErrClosed)
			if _, err := s.Write([]byte("a")); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			if err := s.Close(); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			s.WaitInKernel()
			if n, err := there.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatal(n, err)
			}
		},
		"closed meanwhile": func(t *testing.T, s *stream, there *net.UnixConn) {
			soon(func() { s.Close() })
			fails(t, s, os.ErrClosed)
		},
		"more than fits": func(t *testing.T, s *stream, there *net.UnixConn) {
			const size = 4 << 20
			sent := make(chan error, 1)
			go func() {
				_, err := s.Write(make([]byte, size))
				sent <- err
			}()
			s.WaitInKernel() // leaves the poller to who writes
			if n, err := io.CopyN(io.Discard, there, size); err != nil {
				t.Fatal(n, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		},
		"a write that is not read": func(t *testing.T, s *stream, there *net.UnixConn) {
			s.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
			if _, err := s.Write(make([]byte, 4<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		},
		"a write to nobody": func(t *testing.T, s *stream, there *net.UnixConn) {
			there.Close()
			if n, err := s.TryWrite([]byte("a")); n != 0 || err == nil {
				t.Fatal(n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, there := socketPair(t)
			c(t, s, there)
		})
		t.Run(name+", after waiting in the kernel", func(t *testing.T) {
			s, there := socketPair(t)
			s.SetReadDeadline(time.Now().Add(time.Millisecond))
			fails(t, s, os.ErrDeadlineExceeded)
			if !watched(s) {
				t.Fatal("nobody watches it")
			}
			s.SetReadDeadline(time.Time{})
			s.WaitInKernel()
			if watched(s) {
				t.Fatal("it is watched still")
			}
			c(t, s, there)
		})
	}
}

// TestCloseWhileInKernel: the end of a stream does not leave one behind who waits
// for it in the kernel, nor a descriptor.
func TestCloseWhileInKernel(t *testing.T) {
	before := descriptors(t)
	s, there := socketPair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s.use() == nil {
			s.leave()
			s.WaitInKernel()
		}
	}()
	s.Close()
	<-done
	there.Close()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// TestLoneAskerLeaves: who asks alone and waits in the kernel is not held there
// when his time is over, or he gives up.
func TestLoneAskerLeaves(t *testing.T) {
	for name, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 100*time.Millisecond)
		},
		"cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(100*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, there := socketPair(t)
			released := make(chan struct{})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				answerAlone(there, released)
			}()
			c := protocol.NewConn(s)
			client := protocol.Client{H: c}
			for range 50 {
				if _, err := client.Status(testContext(t)); err != nil {
					t.Fatal(err)
				}
			}
			if watched(s) && runtime.GOMAXPROCS(0) > 1 {
				t.Error("one who asks alone waits for the poller")
			}
			ctx, cancel := leave(t.Context())
			defer cancel()
			_, err := c.Handle(ctx, &protocol.Request{Id: protocol.NewID(), Operation: "peer.list"})
			if err == nil || !errors.Is(err, ctx.Err()) {
				t.Errorf("got %v", err)
			}
			close(released)
			if _, err := client.Status(testContext(t)); err != nil {
				t.Error(err)
			}
			c.Close()
			<-ended
		})
	}
}

// answerAlone answers requests without a stream of this package, so that the
// asker's is the only one that asks in this process. Only node.status is answered
// before others are released.
func answerAlone(conn net.Conn, released <-chan struct{}) {
	r := bufio.NewReader(conn)
	for {
		f, err := protocol.ReadFrame(r)
		if err != nil {
			return
		}
		if f.GetRequest().GetOperation() != "node.status" {
			<-released
		}
		writeFrame(conn, &protocol.Frame{Id: f.Id, Body: &protocol.Frame_Response{
			Response: &protocol.Response{Status: protocol.Status_OK, Node: &protocol.NodeStatus{}}}})
	}
}

func writeFrame(conn net.Conn, f *protocol.Frame) error {
	b, err := protocol.AppendFrame(nil, f)
	if err == nil {
		_, err = conn.Write(b)
	}
	return err
}

// aSignature is a request that is answered by the goroutine that has read it.
func aSignature() *protocol.Request {
	return &protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign", Message: []byte{1},
		Location: &protocol.Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}}
}

// TestLoneCallerIsServed: a program that asks alone is answered, also after a
// pause, and the node stops without waiting for it.
func TestLoneCallerIsServed(t *testing.T) {
	home := newHome(t)
	_, stop := serve(t, home, echo)
	conn, err := dial(testContext(t), home)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(within))
	r := bufio.NewReader(conn)
	for i := range uint64(60) {
		if i%20 == 19 {
			time.Sleep(3 * kernelWait * time.Millisecond) // longer than the node waits in the kernel
		}
		req := aSignature()
		if err := writeFrame(conn, &protocol.Frame{Id: i, Body: &protocol.Frame_Request{Request: req}}); err != nil {
			t.Fatal(err)
		}
		f, err := protocol.ReadFrame(r)
		if err != nil || f.Id != i || f.GetResponse().GetText() != req.Operation {
			t.Fatalf("%v, %v", f, err)
		}
	}
	stop()
	if _, err := protocol.ReadFrame(r); err == nil {
		t.Error("answered after the end")
	}
}

//go:build unix

package protocol

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// socket is a Unix socket that listens in a folder of the test's.
func socket(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestEndBeforeAsking: a request for a stream that has ended was not sent, also
// when nobody has read its end.
func TestEndBeforeAsking(t *testing.T) {
	l := socket(t)
	for range 20 {
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, _ := l.Accept()
			accepted <- conn
		}()
		conn, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		there := <-accepted
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- (&Server{Handle: echo, Door: DoorPeer}).Serve(ctx, there) }()
		c := NewConn(conn)
		for range 2 {
			if _, err := c.Handle(testContext(t), request("hello")); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if _, err := c.Handle(testContext(t), request("too late")); !errors.Is(err, ErrNotSent) {
			t.Fatalf("got %v", err)
		}
		<-c.Done()
		c.Close()
	}
}

// TestManyLoneAskers: askers who come and go at any moment are all answered, on
// a stream from which askers read.
func TestManyLoneAskers(t *testing.T) {
	l := socket(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = (&Server{Door: DoorPeer, Handle: func(_ context.Context, req *Request) *Response {
				if len(req.Message) > 1 {
					time.Sleep(patience)
				}
				return echo(ctx, req)
			}}).Serve(ctx, conn)
		}
		served <- err
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(conn)
	var all sync.WaitGroup
	for caller := range 4 {
		all.Go(func() {
			for i := range 300 {
				ctx, cancel := testContext(t), context.CancelFunc(func() {})
				message := "m"
				switch {
				case i%50 == 10*caller:
					message = "slow"
				case i%50 == 10*caller+1: // leaves
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*time.Microsecond)
				case i%20 == caller:
					time.Sleep(patience / 2) // so that another is alone
				}
				resp, err := c.Handle(ctx, request(message))
				cancel()
				if err == nil && string(resp.Signature) != message || err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, %v", resp, err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

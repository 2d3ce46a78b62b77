package control

import (
	"context"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

func request(t *testing.T, conn *protocol.Conn, operation string) error {
	t.Helper()
	_, err := protocol.Client{H: conn}.Do(testContext(t), &protocol.Request{Operation: operation})
	return err
}

func connect(t *testing.T, home string) *protocol.Conn {
	t.Helper()
	conn, err := Dial(testContext(t), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestIdleConnections: a program that forgets to close its connections keeps
// nobody out. Each newcomer gets the place of one that was used least lately.
func TestIdleConnections(t *testing.T) {
	home := newHome(t)
	serve(t, home, echo)
	conns := make([]*protocol.Conn, maxConns)
	for i := range conns {
		conns[i] = connect(t, home)
		if err := request(t, conns[i], "policy.show"); err != nil {
			t.Fatal(err)
		}
	}
	if err := request(t, conns[0], "policy.show"); err != nil { // which is not the one of least use any more
		t.Fatal(err)
	}
	for n := range 3 {
		if err := request(t, connect(t, home), "node.lock"); err != nil {
			t.Errorf("newcomer %d: %v", n, err)
		}
	}
	for i, served := range []bool{true, false, false, false, true} {
		if err := request(t, conns[i], "policy.show"); (err == nil) != served {
			t.Errorf("connection %d is served: %v, want %v: %v", i, err == nil, served, err)
		}
	}
}

// TestBusyConnections: those on which a request is under way stay. Where all are,
// one newcomer is served all the same, and the next one once that is done.
func TestBusyConnections(t *testing.T) {
	home := newHome(t)
	arrived, release := make(chan struct{}, maxConns+1), make(chan struct{})
	serve(t, home, protocol.HandlerFunc(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		if req.Operation == "node.lock" {
			arrived <- struct{}{}
			<-release
		}
		return echo(ctx, req)
	}))
	open := sync.OnceFunc(func() { close(release) })
	t.Cleanup(open)
	answered := make(chan error, maxConns+1)
	work := func() {
		conn := connect(t, home)
		go func() {
			_, err := conn.Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "node.lock"})
			answered <- err
		}()
		select {
		case <-arrived:
		case <-testContext(t).Done():
			t.Fatal("a newcomer was not served")
		}
	}
	for range maxConns {
		work()
	}
	for n := range 3 { // which are not closed by whoever opened them
		if err := request(t, connect(t, home), "policy.show"); err != nil {
			t.Errorf("newcomer %d: %v", n, err)
		}
	}
	work() // in the place of the last one
	if err := request(t, connect(t, home), "policy.show"); err == nil {
		t.Error("there is no end of connections")
	}
	open()
	for range maxConns + 1 {
		if err := <-answered; err != nil {
			t.Errorf("a request that was under way: %v", err)
		}
	}
	if err := request(t, connect(t, home), "policy.show"); err != nil {
		t.Errorf("once they are done: %v", err)
	}
}

// closed counts what is closed.
type closed int

func (c *closed) Close() error { *c++; return nil }

// TestSlots: the process that has most connections loses one, however lately it
// used it; and what comes on a closed connection is not done.
func TestSlots(t *testing.T) {
	var s slots
	const honest, greedy = 1, 2
	var ours, theirs closed
	own := s.take(&ours, honest) // the oldest of all
	for range 10 * maxConns {
		c := s.take(&theirs, greedy)
		if c == nil {
			t.Fatal("there is no place")
		}
		if refusal := s.begin(c); refusal != nil {
			t.Fatal(refusal)
		}
		s.end(c)
	}
	if want := closed(9*maxConns + 1); ours != 0 || theirs != want || len(s.all) != maxConns {
		t.Errorf("%d of the one process and %d of the other are closed, want 0 and %d; %d are left", ours, theirs, want, len(s.all))
	}
	// Alone with its like, the one of least use is closed.
	s = slots{}
	first := s.take(&ours, 0)
	for n := range maxConns {
		s.take(&theirs, n)
	}
	if ours != 1 {
		t.Error("the oldest was not closed")
	}
	if refusal := s.begin(first); refusal.GetStatus() != protocol.Status_UNAVAILABLE {
		t.Errorf("on a closed connection: %v", refusal)
	}
	s.free(first)
	s.free(first)
	if len(s.all) != maxConns || s.begin(own) != nil {
		t.Errorf("%d are left", len(s.all))
	}
}

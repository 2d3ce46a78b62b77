package node

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// wire is a connection's way through somebody else's hands.
type wire struct {
	l  net.Listener
	to string

	mu      sync.Mutex
	conns   []net.Conn
	seen    bytes.Buffer
	changes bool // the next bytes on their way
	all     sync.WaitGroup
	ended   chan struct{} // has something in it when a connection has
}

// newWire listens for one side and connects to the other, at a TCP address.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{l: l, to: to, ended: make(chan struct{}, 1)}
	w.all.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, a, b)
			w.mu.Unlock()
			w.all.Go(func() { w.carry(a, b) })
			w.all.Go(func() { w.carry(b, a) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for _, c := range w.conns {
			c.Close()
		}
		w.mu.Unlock()
		w.all.Wait()
	})
	return w
}

// carry takes bytes over, and remembers them.
func (w *wire) carry(from, to net.Conn) {
	defer to.Close()
	defer func() {
		select {
		case w.ended <- struct{}{}:
		default:
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		w.seen.Write(b[:n])
		if w.changes && n > 0 {
			b[n-1] ^= 1
			w.changes = false
		}
		w.mu.Unlock()
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			io.Copy(io.Discard, from)
			return
		}
	}
}

// TestNoPlaintext: who carries what two nodes say to each other reads nothing of it,
// and a bit that he changes ends the connection.
func TestNoPlaintext(t *testing.T) {
	am, bm := newMemory(t), newMemory(t)
	a, b := newNode(t, am, func(cfg *Config) { cfg.Listen = nil }), newNode(t, bm)
	var port int
	if _, err := fmt.Sscanf(b.Addrs()[0], "/ip4/127.0.0.1/tcp/%d/", &port); err != nil {
		t.Fatal(err)
	}
	w := newWire(t, fmt.Sprintf("127.0.0.1:%d", port))
	through := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", w.l.Addr().(*net.TCPAddr).Port, b.ID())
	do(t, a.Local(), &protocol.Request{Operation: "peer.add", Name: "b", Address: through})
	addPeer(t, b, "a", a)
	bm.setPolicy(t, allowAll)

	message := bytes.Repeat([]byte("a message that is long enough to be told apart "), 100)
	req := sign(t)
	req.Message = message
	resp := do(t, a.Remote("b"), req)
	w.mu.Lock()
	seen := bytes.Clone(w.seen.Bytes())
	w.mu.Unlock()
	if len(seen) < len(message) {
		t.Fatalf("%d bytes went by the wire: this shows nothing", len(seen))
	}
	for name, secret := range map[string][]byte{"the message": message[:16], "the operation": []byte(req.Operation), "the signature": resp.Signature} {
		if len(secret) > 0 && bytes.Contains(seen, secret) {
			t.Errorf("%s is to be read on the wire", name)
		}
	}

	w.mu.Lock()
	w.changes = true
	w.mu.Unlock()
	again := sign(t)
	again.Message = message
	a.Remote("b").Handle(testContext(t), again) // which may be asked on a new connection, past this wire
	select {
	case <-w.ended:
	case <-testContext(t).Done():
		t.Error("with a bit changed on its way the connection goes on")
	}
	last := sign(t)
	last.Message = message
	do(t, a.Remote("b"), last)
}

package node

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/stronghold-go/stronghold/protocol"
)

// strange connects to a node from an address of this machine, and says nothing.
func strange(t *testing.T, to *Node, from string) net.Conn {
	t.Helper()
	port, err := to.host.Addrs()[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(testContext(t), "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Skipf("no connection from %s: %v", from, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// endedBy says whether the other end ends a connection within this time.
func endedBy(c net.Conn, patience time.Duration) bool {
	c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c) // a libp2p node speaks first
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// under is how many handshakes are under way, and how many of them of strangers.
func (s *strangers) under() (all, unknown int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.open {
		all += n
	}
	return all, s.unknown
}

// TestSilentStrangers: whoever connects from one address and says nothing keeps out
// nobody who comes from another.
func TestSilentStrangers(t *testing.T) {
	a, b, _, _ := pair(t)
	var silent []net.Conn
	for range 600 {
		silent = append(silent, strange(t, b, "127.0.0.2"))
	}
	do(t, a.Remote("b"), sign(t))
	open := len(silent)
	for tries := 0; open > 16 && tries < 20; tries++ { // the last ones may be on their way to be closed; all would be after 5 s
		silent = slices.DeleteFunc(silent, func(c net.Conn) bool { return endedBy(c, time.Millisecond) })
		open = len(silent)
	}
	if all, unknown := b.strangers.under(); open > 16 || all > 16 || unknown > 16 {
		t.Errorf("%d connections of one address stay, and %d of %d handshakes", open, unknown, all)
	}
}

// TestRoomForKnownPeers: strangers from any number of addresses leave room for where
// known peers are, or were when they were seen last.
func TestRoomForKnownPeers(t *testing.T) {
	a, b, _, _ := pair(t, func(cfg *Config) { cfg.Limits.Handshakes, cfg.Limits.HandshakeTime = 16, time.Minute })
	do(t, b.Local(), &protocol.Request{Operation: "peer.remove", Name: "a"})
	do(t, b.Local(), &protocol.Request{Operation: "peer.add", Name: "a", Address: a.ID()}) // without an address
	for i := range 20 {
		strange(t, b, fmt.Sprintf("127.0.1.%d", i+1))
	}
	eventually(t, "their room is taken", func() bool { _, unknown := b.strangers.under(); return unknown == 12 })
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrUnreachable) {
		t.Errorf("where nobody was seen: %v", err)
	}
	b.strangers.saw(a.host.ID(), placeOf(a.host.Addrs()[0]))
	do(t, a.Remote("b"), sign(t))
	a.host.Network().ClosePeer(b.host.ID())

	// Who is forgotten has no room kept.
	b.strangers.forget(a.host.ID())
	if len(b.strangers.familiar) != 0 || len(b.strangers.lastSeen) != 0 {
		t.Errorf("remembered are %v and %v", b.strangers.familiar, b.strangers.lastSeen)
	}
}

// TestPeerIsSeen: where a peer connected from is where room is kept, until it is removed.
func TestPeerIsSeen(t *testing.T) {
	a, b, _, bm := pair(t)
	do(t, b.Local(), &protocol.Request{Operation: "peer.remove", Name: "a"})
	do(t, b.Local(), &protocol.Request{Operation: "peer.add", Name: "a", Address: a.ID()})
	familiar := func() int {
		b.strangers.mu.Lock()
		defer b.strangers.mu.Unlock()
		return len(b.strangers.familiar)
	}
	if familiar() != 0 {
		t.Error("it was seen before it came")
	}
	do(t, a.Remote("b"), sign(t))
	if familiar() != 1 {
		t.Error("it was not seen")
	}
	again := newNode(t, bm) // as when b is started again
	if again.strangers.familiar[placeOf(a.host.Addrs()[0])] != 1 {
		t.Errorf("when it is started again, it knows %v", again.strangers.familiar)
	}
	do(t, b.Local(), &protocol.Request{Operation: "peer.remove", Name: "a"})
	if familiar() != 0 {
		t.Error("it was removed, and is remembered")
	}
	for i := range 3 * placesPerPeer {
		b.strangers.saw(a.host.ID(), placeOf(ma.StringCast(fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", i))))
	}
	if familiar() != placesPerPeer {
		t.Errorf("%d places of one peer are remembered", familiar())
	}
}

// TestHandshakeIsGivenBack, however it ends.
func TestHandshakeIsGivenBack(t *testing.T) {
	a, b, am, _ := pair(t, func(cfg *Config) {
		cfg.Limits.HandshakeTime, cfg.Limits.ConnsPerPeer = 300*time.Millisecond, 1
	})
	same := newMemory(t)
	same.identity = am.identity
	twin := newNode(t, same)
	addPeer(t, twin, "b", b)
	stranger := newNode(t, newMemory(t))
	addPeer(t, stranger, "b", b)
	for _, test := range []struct {
		how string
		do  func()
	}{
		{"silent until its time is over", func() {
			if c := strange(t, b, "127.0.0.2"); !endedBy(c, within) {
				t.Error("a silent connection stays")
			}
		}},
		{"slow until its time is over", func() {
			c := strange(t, b, "127.0.0.2")
			for range 1000 {
				if _, err := c.Write([]byte{19}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Error("a slow connection stays")
		}},
		{"closed at once", func() { strange(t, b, "127.0.0.2").Close() }},
		{"closed in the middle", func() {
			c := strange(t, b, "127.0.0.2")
			c.Write([]byte("\x13/multistream/1.0.0\n\x07/noise\n\x00\x20"))
			c.Close()
		}},
		{"nonsense", func() { strange(t, b, "127.0.0.2").Write([]byte("GET / HTTP/1.1\r\n\r\n")) }},
		{"a node that is not known", func() {
			if _, err := stranger.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
		}},
		{"a node that is known", func() { do(t, a.Remote("b"), sign(t)) }},
		{"a node that is known, once too often", func() {
			if _, err := twin.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrUnreachable) {
				t.Errorf("got %v", err)
			}
		}},
	} {
		test.do()
		eventually(t, "nothing is left of a handshake that was "+test.how, func() bool {
			all, unknown := b.strangers.under()
			return all == 0 && unknown == 0
		})
	}
}

// TestManyBehindOneAddress: nodes that come at once from one address all get in.
func TestManyBehindOneAddress(t *testing.T) {
	_, b, _, bm := pair(t, func(cfg *Config) { cfg.Limits.HandshakesPerIP = 2 })
	bm.setPolicy(t, allowAll)
	var nodes []*Node
	for i := range 12 {
		n := newNode(t, newMemory(t), func(cfg *Config) { cfg.Listen = nil })
		addPeer(t, n, "b", b)
		addPeer(t, b, fmt.Sprint("n", i), n)
		nodes = append(nodes, n)
	}
	var asked sync.WaitGroup
	for _, n := range nodes {
		asked.Go(func() {
			if _, err := n.Remote("b").Handle(testContext(t), sign(t)); err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
}

func TestPlaceOf(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.0.2.7/tcp/1":                        "192.0.2.7/32",
		"/ip4/192.0.2.7/tcp/2":                        "192.0.2.7/32",
		"/ip4/192.0.2.8/tcp/1":                        "192.0.2.8/32",
		"/ip6/2001:db8:1:2:3:4:5:6/tcp/1":             "2001:db8:1:2::/64",
		"/ip6/2001:db8:1:2:ffff:ffff:ffff:ffff/tcp/1": "2001:db8:1:2::/64",
		"/ip6/2001:db8:1:3::/tcp/1":                   "2001:db8:1:3::/64",
		"/ip6/::ffff:192.0.2.7/tcp/1":                 "192.0.2.7/32", // the same machine, by another socket
		"/ip6/::1/tcp/1":                              "::/64",
		"/dns4/example.com/tcp/1":                     "invalid Prefix",
	} {
		if got := placeOf(ma.StringCast(addr)).String(); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

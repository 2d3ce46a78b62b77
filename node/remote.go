package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	libp2pprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/stronghold-go/stronghold/protocol"
)

// Remote asks another node, by its name, its id, or an address that ends in its
// id. It is resolved anew for each request, so a Handler may be kept.
//
// An error that is [ErrUnreachable] means that the peer could not be asked. If
// the stream broke after a request had left, a request that changes nothing
// fails as unavailable, and one that does as protocol.ErrOutcomeUnknown.
func (n *Node) Remote(name string) protocol.Handler {
	return protocol.HandlerFunc(func(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
		id, addr, err := n.known.Load().find(name)
		if err != nil {
			return nil, err
		}
		if addr != nil {
			n.host.Peerstore().AddAddr(id, addr, peerstore.TempAddrTTL)
		}
		return n.ask(ctx, id, req)
	})
}

func (n *Node) ask(ctx context.Context, id peer.ID, req *protocol.Request) (*protocol.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, protocol.Timeout(req))
	defer cancel()
	// A stream may end just as it is handed out. What did not leave by it leaves by the next.
	for attempt := 0; ; attempt++ {
		stream, err := n.remote(id).stream(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := stream.Handle(ctx, req)
		switch {
		case err == nil:
			return presentable(resp), nil
		case turnedAway(err) != nil:
			return nil, fmt.Errorf("%w: %w", turnedAway(err), err)
		case !errors.Is(err, protocol.ErrNotSent):
			return nil, lost(req, err)
		case errors.Is(err, protocol.ErrFrameTooLong):
			return nil, fmt.Errorf("%w: %w", &protocol.Error{Status: protocol.Status_INVALID,
				Detail: "the request is too long", RequestID: req.Id}, err)
		case ctx.Err() != nil || attempt == 2:
			return nil, err
		}
		stream.Close() // it has ended; this waits until it says so
	}
}

// lost is the error for a request that left and was not answered.
func lost(req *protocol.Request, err error) error {
	refusal := &protocol.Error{Status: protocol.Status_UNAVAILABLE, Operation: req.Operation,
		Detail: "no answer came from the peer", RequestID: req.Id}
	if op, ok := protocol.Lookup(req.Operation); ok && op.Changes {
		refusal.Status = protocol.Status_OUTCOME_UNKNOWN
		refusal.Detail += ": look whether it was done before asking again"
	}
	return fmt.Errorf("%w: %w", refusal, err)
}

// presentable takes from an answer's words what a terminal would obey.
func presentable(resp *protocol.Response) *protocol.Response {
	for _, s := range []*string{&resp.Field, &resp.Detail, &resp.Kind, &resp.Text} {
		*s = visible(*s)
	}
	for _, e := range resp.Entries {
		e.Kind = visible(e.Kind)
	}
	return resp
}

func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return -1
	}, s)
}

// remote is the one stream to a peer, shared by all who ask it.
type remote struct {
	n  *Node
	id peer.ID

	mu      sync.Mutex
	closed  bool
	conn    *protocol.Conn // nil, or the last one
	dialing *dial          // nil, or the one under way
}

// dial is one attempt to reach a peer, which all who ask it meanwhile share.
type dial struct {
	done chan struct{}
	conn *protocol.Conn
	err  error
}

func (n *Node) remote(id peer.ID) *remote {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.remotes[id]
	if r == nil {
		r = &remote{n: n, id: id, closed: n.closing}
		if !n.closing {
			n.remotes[id] = r
		}
	}
	return r
}

// stream returns a living stream. It dials if there is none; that goes on, for
// others, if ctx ends.
func (r *remote) stream(ctx context.Context) (*protocol.Conn, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		if r.n.dialing.Err() == nil {
			return nil, ErrUnknownPeer // removed a moment ago
		}
		return nil, ErrClosed
	}
	if r.conn != nil {
		select {
		case <-r.conn.Done():
			r.conn = nil
		default:
			defer r.mu.Unlock()
			return r.conn, nil
		}
	}
	d := r.dialing
	if d == nil {
		d = &dial{done: make(chan struct{})}
		if !r.n.start(func() { r.dial(d) }) {
			r.mu.Unlock()
			return nil, ErrClosed
		}
		r.dialing = d
	}
	r.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err())
	}
}

func (r *remote) dial(d *dial) {
	defer close(d.done)
	ctx, cancel := context.WithTimeout(r.n.dialing, r.n.dialTimeout)
	defer cancel()
	s, err := r.n.open(ctx, r.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialing = nil
	if err == nil && r.closed {
		s.Reset()
		err = ErrClosed
	}
	if err != nil {
		d.err = err
		return
	}
	r.conn = protocol.NewConn(&outgoing{Stream: s})
	d.conn = r.conn
}

func (r *remote) close() {
	r.mu.Lock()
	r.closed = true
	conn := r.conn
	r.conn = nil
	r.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// open makes a stream to a peer, or finds out why there can be none.
func (n *Node) open(ctx context.Context, id peer.ID) (network.Stream, error) {
	old := n.host.Network().ConnsToPeer(id)
	s, err := n.openOnce(ctx, id)
	open := func(c network.Conn) bool { return !c.IsClosed() }
	if err != nil && len(old) > 0 && !slices.ContainsFunc(old, open) {
		// It failed on connections that had died unnoticed, which says nothing about the peer.
		s, err = n.openOnce(ctx, id)
	}
	for pause := firstPause; cutOff(err) && pause <= lastPause && sleep(ctx, pause/2+rand.N(pause)); pause *= 2 {
		s, err = n.openOnce(ctx, id)
	}
	switch {
	case err == nil:
		return s, nil
	case n.dialing.Err() != nil:
		return nil, ErrClosed
	}
	n.log.Debug("peer not reached", "peer", id.String(), "error", err)
	return nil, n.unresolved(ctx, id, err)
}

// A peer that hangs up in the middle of a handshake may have too many of them from this
// address: many nodes behind one address come back at once when that does. They try
// again, each after pauses of its own, of about so long.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 800 * time.Millisecond
)

// cutOff says whether a connection came about and ended before both ends were proven.
func cutOff(err error) bool {
	var op *net.OpError
	return errors.Is(err, ErrNoAnswer) && (errors.Is(err, io.EOF) || errors.As(err, &op) && op.Op != "dial")
}

// sleep says whether ctx lets it.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *Node) openOnce(ctx context.Context, id peer.ID) (network.Stream, error) {
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(id) // whoever asks again may have mended what was wrong
	}
	if err := n.host.Connect(ctx, peer.AddrInfo{ID: id}); err != nil {
		return nil, fmt.Errorf("%w: %w", undialled(err), err)
	}
	// Forget what the peer says that it speaks, now or when it was last met: that may
	// be old. The protocol is then agreed on here, and not with the first request, and
	// a peer that has hung up is found out before anything is sent.
	n.host.Peerstore().RemoveProtocols(id, protocol.ID)
	s, err := n.host.NewStream(network.WithNoDial(ctx, "connected"), id, protocol.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hungUp(ctx, err), err)
	}
	return s, nil
}

// undialled is why no connection came about.
func undialled(err error) error {
	var mismatch sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &mismatch):
		return ErrWrongPeer
	case errors.Is(err, swarm.ErrGaterDisallowedConnection):
		return ErrUnknownPeer // removed a moment ago
	case errors.Is(err, swarm.ErrNoAddresses), errors.Is(err, swarm.ErrNoGoodAddresses):
		return ErrNoAddress
	}
	return ErrNoAnswer
}

// unresolved is err, or says which names among the peer's addresses do not resolve:
// what libp2p gives tells only of addresses that were tried.
func (n *Node) unresolved(ctx context.Context, id peer.ID, err error) error {
	why := "nobody answers at its addresses, and of its names these do not resolve: "
	switch {
	case errors.Is(err, ErrNoAddress):
		why = "its address is a name that does not resolve: "
	case !errors.Is(err, ErrNoAnswer):
		return err
	}
	networks := map[int]string{ma.P_DNS: "ip", ma.P_DNS4: "ip4", ma.P_DNS6: "ip6"}
	var names []string
	for _, addr := range n.host.Peerstore().Addrs(id) {
		network, ok := networks[addr[0].Protocol().Code]
		if name := addr[0].Value(); ok && !slices.Contains(names, name) {
			if _, failed := net.DefaultResolver.LookupNetIP(ctx, network, name); failed != nil && ctx.Err() == nil {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return err
	}
	slices.Sort(names)
	return fmt.Errorf("%w: %w", unreachable(why+visible(strings.Join(names, " "))), err)
}

// hungUp is why a connection gave no stream. A peer that refuses this node says
// nothing: it ends the connection when the handshake has told it who asks.
func hungUp(ctx context.Context, err error) error {
	var unspoken multistream.ErrNotSupported[libp2pprotocol.ID]
	if why := turnedAway(err); why != nil {
		return why
	}
	switch {
	case errors.As(err, &unspoken):
		return ErrNoProtocol
	case ctx.Err() != nil:
		return ErrNoAnswer
	}
	return ErrRefused
}

// turnedAway is why a peer reset a stream of which it had read nothing, if err
// says so (serve). It never resets one so that it has read from.
func turnedAway(err error) error {
	var reset *network.StreamError
	if !errors.As(err, &reset) || !reset.Remote {
		return nil
	}
	switch reset.ErrorCode {
	case network.StreamGated:
		return ErrRefused
	case network.StreamShutdown:
		return ErrStopping
	case network.StreamResourceLimitExceeded:
		return ErrBusy
	}
	return nil
}

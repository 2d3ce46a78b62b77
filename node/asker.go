package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/stronghold-go/stronghold/protocol"
)

// asker is what one peer has under way here, over all its streams, and what he has
// had. Two things are counted: a request holds a slot, of memory, from the moment it is
// read until it is answered, however long its asker waits; and a turn while the zone
// works for it (turns.go). The account outlives the peer's connections, and ends when he
// is not known any more.
type asker struct {
	id       peer.ID
	name     string // id as text, as policies and the log have it
	streams  int    // guarded by Node.mu
	requests *semaphore.Weighted
	bytes    *semaphore.Weighted
	answers  *semaphore.Weighted // bytes of large ones, until they have left
	rate     *rate.Limiter
	shares   [heavy + 1]share // guarded by turns.mu
}

func newAsker(id peer.ID, l Limits) *asker {
	return &asker{id: id, name: id.String(), requests: semaphore.NewWeighted(int64(l.InFlightPerPeer)),
		bytes: semaphore.NewWeighted(int64(l.BytesPerPeer)), answers: semaphore.NewWeighted(int64(l.AnswersPerPeer)), rate: rate.NewLimiter(rate.Limit(l.RequestsPerSecond), l.RequestsPerSecond),
		shares: [...]share{{kind: light}, {kind: changing}, {kind: heavy}}}
}

// tooFast says how long the peer is to wait before he asks again; 0: not at all.
func (a *asker) tooFast() time.Duration {
	if a.rate.Allow() {
		return 0
	}
	r := a.rate.Reserve()
	defer r.Cancel()
	return max(r.Delay(), time.Millisecond)
}

func (n *Node) enter(id peer.ID) *asker {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.askers[id]
	if a == nil {
		a = newAsker(id, n.limits)
		n.askers[id] = a
	}
	a.streams++
	return a
}

func (n *Node) leave(a *asker) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a.streams--
	n.forget(a)
}

// forget ends the account of a peer who is not known and has nothing under way. n.mu is
// held.
func (n *Node) forget(a *asker) {
	if a.streams == 0 && !n.known.Load().has(a.id) {
		delete(n.askers, a.id)
	}
}

// admit waits until there is room for one more request, of size bytes. The
// peer waits meanwhile; the node as a whole does not.
func (a *asker) admit(ctx context.Context, scope network.ResourceScope, size int) (func(), error) {
	if err := a.requests.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := a.bytes.Acquire(ctx, int64(size)); err != nil {
		a.requests.Release(1)
		return nil, err
	}
	if err := scope.ReserveMemory(size, network.ReservationPriorityAlways); err != nil {
		a.bytes.Release(int64(size))
		a.requests.Release(1)
		return nil, err
	}
	return func() {
		scope.ReleaseMemory(size)
		a.bytes.Release(int64(size))
		a.requests.Release(1)
	}, nil
}

// room waits until there is room for one more large answer of at most size bytes: until
// the peer has read others, or his time is over.
func (a *asker) room(ctx context.Context, scope network.ResourceScope, size int) (func(), *protocol.Response) {
	if err := a.answers.Acquire(ctx, int64(size)); err != nil {
		return nil, protocol.Refuse(protocol.Status_UNAVAILABLE, "there was no room for the answer, as others are not read; nothing was done")
	}
	if err := scope.ReserveMemory(size, network.ReservationPriorityAlways); err != nil {
		a.answers.Release(int64(size))
		return nil, &protocol.Response{Status: protocol.Status_LIMITED, Detail: "there is no memory for the answer; nothing was done", RetryAfterMs: 100}
	}
	return func() {
		scope.ReleaseMemory(size)
		a.answers.Release(int64(size))
	}, nil
}

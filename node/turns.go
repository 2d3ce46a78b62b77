package node

import (
	"container/heap"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// turns shares the zone out between peers. A request of a peer has a turn before any
// work on it begins, and gives it back when the zone has nothing more to do for it. Who
// has no turn stands in his own asker's queue, in the order in which he came. Of the
// askers who wait the one goes next who has had least: each turn is paid for with what it
// is estimated to cost (start-time fair queueing: Goyal, Vin, Cheng, 1996). Whoever comes
// anew begins where the others are, and has no credit for the time when he was away.
//
// There are three kinds of turns. Light ones are over in much less than a millisecond,
// and several are in the zone at once, since that joins them on the way there. Those of
// changes may have to wait for the file besides, and nobody who only reads waits for them.
// Heavy ones keep a processor each. While one asker is all there is he has as many as the
// machine can do; as soon as there is another, so few that his requests wait for few others
// and find a processor.
//
// The user of this machine does not wait for a turn.
type turns struct {
	now   func() time.Time
	local atomic.Int64 // when the user of this machine was there last, ns since the Unix epoch

	mu       sync.Mutex
	lines    [heavy + 1]line
	latest   *asker    // who came last
	changed  time.Time // when that was another than before
	pace     float64   // how long heavy turns take, as a multiple of what they are estimated to
	sweeping bool      // a timer is set
}

// The kinds of turns.
const (
	light = iota
	changing
	heavy
)

const (
	lightAlone = 64
	company    = 10 * time.Second       // for so long after another one's request an asker is not alone
	maxOwed    = 5 * time.Second        // of work that waits for one asker
	sweepEvery = 100 * time.Millisecond // what waits is looked at
)

// line is who has turns of a kind, and who waits for one.
type line struct {
	alone, shared int // turns at once
	used          int
	start         time.Duration // what the asker had had who was given the last turn
	waiting       byPaid        // askers with a queue
}

// share is an asker's part of a line.
type share struct {
	kind  int
	paid  time.Duration // what the asker has had
	owed  time.Duration // what stands in the queue
	queue []*turn
	index int // in line.waiting
}

// A turn is one that is waited for, or was given.
type turn struct {
	t     *turns
	share *share
	cost  time.Duration
	begun time.Time
	over  time.Duration // not a turn to work: so long it takes until the asker has room in his queue
	ended bool

	ctx   context.Context
	alive func() bool
	given chan error // has room for one; nil for a turn that was not waited for
}

func newTurns() *turns {
	workers := runtime.GOMAXPROCS(0) // as the zone has
	t := &turns{now: time.Now, pace: 1}
	t.lines[light] = line{alone: lightAlone, shared: 2 * workers}
	t.lines[changing] = line{alone: lightAlone, shared: 4 * workers}
	t.lines[heavy] = line{alone: 4 * workers, shared: max(1, workers-1)}
	return t
}

// take waits for a turn to do req, until ctx ends or alive, which may be asked at any
// time, says no: then work on it has not begun, and never will. Where too much of the
// asker's waits already the turn is one to say so.
func (t *turns) take(ctx context.Context, a *asker, alive func() bool, req *protocol.Request) (*turn, error) {
	kind, cost := kindOf(req)
	tn := &turn{t: t, share: &a.shares[kind], cost: cost, ctx: ctx, alive: alive}
	t.mu.Lock()
	now := t.now()
	t.meet(a, now)
	if owed := t.real(tn.share.owed + cost); owed > maxOwed && len(tn.share.queue) > 0 {
		tn.over = max(owed-maxOwed, time.Millisecond) * time.Duration(t.lines[kind].waiting.Len()) / time.Duration(t.limit(kind, now))
		tn.share, tn.cost = &a.shares[light], cost%protocol.HeavyCost
	}
	l := &t.lines[tn.share.kind]
	if l.waiting.Len() == 0 && l.used < t.limit(tn.share.kind, now) {
		l.give(tn, now)
		t.mu.Unlock()
		return tn, nil
	}
	tn.given = make(chan error, 1)
	t.enqueue(tn)
	t.mu.Unlock()
	if err := <-tn.given; err != nil {
		return nil, err
	}
	return tn, nil
}

// kindOf is the kind of turn that a request needs, and what that costs.
func kindOf(req *protocol.Request) (int, time.Duration) {
	cost := protocol.Cost(req)
	if cost >= protocol.HeavyCost {
		return heavy, cost
	}
	if op, ok := protocol.Lookup(req.Operation); ok && op.Changes {
		return changing, cost
	}
	return light, cost
}

// meet takes note of who is there. t.mu is held.
func (t *turns) meet(a *asker, now time.Time) {
	if t.latest != a {
		if t.latest != nil {
			t.changed = now
		}
		t.latest = a
	}
}

// meetLocal takes note that the user of this machine is there.
func (t *turns) meetLocal() { t.local.Store(t.now().UnixNano()) }

// limit is how many turns of a kind there are. t.mu is held.
func (t *turns) limit(kind int, now time.Time) int {
	if now.Sub(t.changed) < company || kind == heavy && now.UnixNano()-t.local.Load() < int64(company) {
		return t.lines[kind].shared
	}
	return t.lines[kind].alone
}

// real is how long what is estimated to cost so much takes here. t.mu is held.
func (t *turns) real(cost time.Duration) time.Duration { return time.Duration(float64(cost) * t.pace) }

// enqueue puts a turn into its asker's queue. t.mu is held.
func (t *turns) enqueue(tn *turn) {
	s := tn.share
	l := &t.lines[s.kind]
	s.queue = append(s.queue, tn)
	s.owed += tn.cost
	if len(s.queue) == 1 {
		s.paid = max(s.paid, l.start)
		heap.Push(&l.waiting, s)
	}
	if !t.sweeping {
		t.sweeping = true
		time.AfterFunc(sweepEvery, t.sweepAgain)
	}
}

// give gives a turn to one who does not wait, or no more. t.mu is held.
func (l *line) give(tn *turn, now time.Time) {
	s := tn.share
	l.start = max(s.paid, l.start)
	s.paid = l.start + tn.cost
	l.used++
	tn.begun = now
}

// giveAll gives the turns that there are. t.mu is held.
func (t *turns) giveAll(kind int, now time.Time) {
	l := &t.lines[kind]
	for l.waiting.Len() > 0 && l.used < t.limit(kind, now) {
		s := l.waiting[0]
		tn := s.queue[0]
		err := tn.gone()
		if err == nil {
			l.give(tn, now)
		}
		t.dequeue(s, 1)
		tn.given <- err
	}
}

// dequeue takes the first n out of a queue. t.mu is held.
func (t *turns) dequeue(s *share, n int) {
	for _, tn := range s.queue[:n] {
		s.owed -= tn.cost
	}
	t.keep(s, s.queue[n:])
}

// keep has rest be what is left of a queue. t.mu is held.
func (t *turns) keep(s *share, rest []*turn) {
	l := &t.lines[s.kind]
	if s.queue = rest; len(rest) == 0 {
		s.queue = nil
		heap.Remove(&l.waiting, s.index)
		return
	}
	heap.Fix(&l.waiting, s.index)
}

// gone says why a turn is not to be given any more.
func (tn *turn) gone() error {
	if err := tn.ctx.Err(); err != nil {
		return err
	}
	if !tn.alive() {
		return context.Canceled
	}
	return nil
}

// end gives the turn back. It may be called more than once.
func (tn *turn) end() {
	t := tn.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn.ended {
		return
	}
	tn.ended = true
	s, now := tn.share, t.now()
	t.lines[s.kind].used--
	if s.kind == heavy { // of a light one the time tells more about the others
		took := now.Sub(tn.begun)
		t.pace += (min(max(float64(took)/float64(tn.cost), 1./8), 64) - t.pace) / 16
		if s.paid += max(0, took-tn.cost); len(s.queue) > 0 {
			heap.Fix(&t.lines[s.kind].waiting, s.index)
		}
	}
	t.giveAll(s.kind, now)
}

// sweep drops what need not wait any more, long before its turn comes.
func (t *turns) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind := range t.lines {
		for _, s := range slices.Clone(t.lines[kind].waiting) {
			rest := s.queue[:0:0]
			for _, tn := range s.queue {
				if err := tn.gone(); err != nil {
					s.owed -= tn.cost
					tn.given <- err
					continue
				}
				rest = append(rest, tn)
			}
			if len(rest) < len(s.queue) {
				t.keep(s, rest)
			}
		}
	}
}

// sweepAgain sweeps for as long as there is something.
func (t *turns) sweepAgain() {
	t.sweep()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweeping = false
	for _, l := range t.lines {
		t.sweeping = t.sweeping || l.waiting.Len() > 0
	}
	if t.sweeping {
		time.AfterFunc(sweepEvery, t.sweepAgain)
	}
}

// byPaid is a heap of those who wait: first he who has had least.
type byPaid []*share

func (b byPaid) Len() int           { return len(b) }
func (b byPaid) Less(i, j int) bool { return b[i].paid < b[j].paid }
func (b byPaid) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}

func (b *byPaid) Push(s any) {
	s.(*share).index = len(*b)
	*b = append(*b, s.(*share))
}

func (b *byPaid) Pop() any {
	last := len(*b) - 1
	s := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return s
}

package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/stronghold-go/stronghold/protocol"
)

func alive() bool { return true }

// heavySteps is a pipeline of so many hashes.
func heavySteps(n int) *protocol.Request {
	req := &protocol.Request{Operation: "pipeline.run"}
	for range n {
		req.Steps = append(req.Steps, &protocol.Request{Operation: "bip39.recover"})
	}
	return req
}

// queueing is askers who wait for turns of which there is one, and how they come to them.
type queueing struct {
	*turns
	t     *testing.T
	order []string
	mu    sync.Mutex
	wg    sync.WaitGroup
}

func newQueueing(t *testing.T) *queueing {
	q := &queueing{turns: newTurns(), t: t}
	for kind := range q.lines {
		q.lines[kind].alone, q.lines[kind].shared = 1, 1
	}
	return q
}

// ask has an asker wait for a turn, and give it back when he has had it for as long as it costs.
func (q *queueing) ask(name string, a *asker, req *protocol.Request) {
	q.wg.Go(func() {
		tn, err := q.take(q.t.Context(), a, alive, req)
		if err != nil {
			q.t.Error(err)
			return
		}
		q.mu.Lock()
		q.order = append(q.order, name)
		q.mu.Unlock()
		time.Sleep(tn.cost)
		tn.end()
	})
	synctest.Wait()
}

// TestTurnsAreFair: each goes next who has had least, whoever came first and however much
// of his waits; and each asker's own requests in their order.
func TestTurnsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		flood, twice, single := new1(), new1(), new1()
		first, err := q.take(t.Context(), flood, alive, heavySteps(1))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			q.ask(fmt.Sprintf("f%d", i), flood, heavySteps(1))
		}
		for i := range 3 {
			q.ask(fmt.Sprintf("t%d", i), twice, heavySteps(2))
		}
		q.ask("s", single, heavySteps(1))
		first.end()
		q.wg.Wait()
		// What costs twice as much comes half as often.
		if got, want := strings.Join(q.order, " "), "t0 s f0 f1 t1 f2 f3 t2 f4 f5"; got != want {
			t.Errorf("in the order %s, not %s", got, want)
		}
	})
}

// TestNewcomer: who was away has no credit for that, and who comes anew no debt.
func TestNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		busy, away := new1(), new1()
		q.ask("a", away, heavySteps(1))
		q.wg.Wait()
		for range 50 {
			q.ask("b", busy, heavySteps(1))
		}
		q.wg.Wait()
		q.order = nil
		for range 4 {
			q.ask("b", busy, heavySteps(1))
		}
		for range 4 {
			q.ask("a", away, heavySteps(1))
		}
		q.wg.Wait()
		for i := range q.order { // in turns, but for who goes first of two that have had as much
			if got := strings.Join(q.order[:i], ""); max(strings.Count(got, "a")-strings.Count(got, "b"), strings.Count(got, "b")-strings.Count(got, "a")) > 1 {
				t.Errorf("in the order %s", strings.Join(q.order, ""))
				break
			}
		}
	})
}

// TestLongTurnIsPaidFor: what takes longer than was estimated is paid for afterwards.
func TestLongTurnIsPaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		sly, honest := new1(), new1()
		tn, err := q.take(t.Context(), sly, alive, heavySteps(1))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			q.ask("s", sly, heavySteps(1))
		}
		for range 10 {
			q.ask("h", honest, heavySteps(1))
		}
		time.Sleep(10 * tn.cost)
		tn.end()
		q.wg.Wait()
		if got, want := strings.Join(q.order, ""), "hhhhhhhhhhsss"; got != want {
			t.Errorf("in the order %s, not %s", got, want)
		}
	})
}

// TestTurnsAtOnce: one who is alone has as many turns as can be used; while there is another,
// or the user of this machine, few are used at once.
func TestTurnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name string
			req  *protocol.Request
			with func(*turns)
			want func(l *line) int
		}{
			{"light, alone", sign(t), func(*turns) {}, func(l *line) int { return l.alone }},
			{"light, with another", sign(t), func(ts *turns) { turnOf(t, ts, new1(), sign(t)).end() }, func(l *line) int { return l.shared }},
			{"light, with the local user", sign(t), func(ts *turns) { ts.meetLocal() }, func(l *line) int { return l.alone }},
			{"changes, alone", &protocol.Request{Operation: "store.put"}, func(*turns) {}, func(l *line) int { return l.alone }},
			{"changes, with another", &protocol.Request{Operation: "store.put"}, func(ts *turns) { turnOf(t, ts, new1(), sign(t)).end() }, func(l *line) int { return l.shared }},
			{"heavy, alone", heavySteps(1), func(*turns) {}, func(l *line) int { return l.alone }},
			{"heavy, with another", heavySteps(1), func(ts *turns) { turnOf(t, ts, new1(), sign(t)).end() }, func(l *line) int { return l.shared }},
			{"heavy, with the local user", heavySteps(1), func(ts *turns) { ts.meetLocal() }, func(l *line) int { return l.shared }},
			{"heavy, when the other is long gone", heavySteps(1), func(ts *turns) {
				turnOf(t, ts, new1(), sign(t)).end()
				turnOf(t, ts, new1(), sign(t)).end()
				time.Sleep(2 * company)
			}, func(l *line) int { return l.alone }},
		} {
			ts, a := newTurns(), new1()
			test.with(ts)
			if strings.Contains(test.name, "long gone") {
				turnOf(t, ts, a, sign(t)).end()
				time.Sleep(2 * company)
			}
			var given atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if _, err := ts.take(ctx, a, alive, test.req); err == nil {
						given.Add(1)
					}
				})
			}
			synctest.Wait()
			kind, _ := kindOf(test.req)
			if got, want := int(given.Load()), test.want(&ts.lines[kind]); got != want {
				t.Errorf("%s: %d at once, not %d", test.name, got, want)
			}
			cancel()
			wg.Wait()
		}
	})
}

func new1() *asker { return newAsker("", Limits{}.withDefaults()) }

// turnOf is a turn that is there.
func turnOf(t *testing.T, ts *turns, a *asker, req *protocol.Request) *turn {
	t.Helper()
	tn, err := ts.take(t.Context(), a, alive, req)
	if err != nil {
		t.Fatal(err)
	}
	return tn
}

// TestDropped: what need not be done any more never has a turn, and nothing is kept of it.
func TestDropped(t *testing.T) {
	for name, drop := range map[string]func(cancel, kill func()){
		"its time is over":   func(cancel, _ func()) { cancel() },
		"its asker has left": func(_, kill func()) { kill() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueueing(t)
				a, other := new1(), new1()
				first := turnOf(t, q.turns, other, heavySteps(1))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var dead atomic.Bool
				var failed atomic.Int64
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						if _, err := q.take(ctx, a, func() bool { return !dead.Load() }, heavySteps(1)); err != nil {
							failed.Add(1)
						}
					})
				}
				synctest.Wait()
				q.ask("other", other, heavySteps(1))
				drop(cancel, func() { dead.Store(true) })
				time.Sleep(2 * sweepEvery)
				if failed.Load() != 5 {
					t.Errorf("%d of 5 are told, while another has the turn", failed.Load())
				}
				wg.Wait()
				q.turns.mu.Lock()
				if s := &a.shares[heavy]; s.owed != 0 || s.queue != nil {
					t.Errorf("%v is owed for %d requests", s.owed, len(s.queue))
				}
				q.turns.mu.Unlock()
				first.end()
				q.wg.Wait()
				time.Sleep(2 * sweepEvery)
				q.turns.mu.Lock()
				defer q.turns.mu.Unlock()
				if l := &q.lines[heavy]; l.used != 0 || l.waiting.Len() != 0 || q.sweeping {
					t.Errorf("%d have a turn, %d wait, somebody looks: %t", l.used, l.waiting.Len(), q.sweeping)
				}
			})
		})
	}
}

// TestQueueIsBounded: of one asker's work so much waits and no more; the rest is told when
// to come again, which is when there is room. Another asker has his own.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		a, other := new1(), new1()
		first := turnOf(t, q.turns, other, heavySteps(1))
		fit := int(maxOwed / protocol.Cost(heavySteps(64)))
		for range fit {
			q.ask("", a, heavySteps(64))
		}
		over := turnOf(t, q.turns, a, heavySteps(64))
		if over.over <= 0 || over.over > maxOwed || over.share != &a.shares[light] {
			t.Errorf("the next one: %+v", over)
		}
		over.end()
		q.ask("", other, heavySteps(64)) // who has room
		if light := turnOf(t, q.turns, a, sign(t)); light.over != 0 {
			t.Errorf("a light one: %+v", light)
		} else {
			light.end()
		}
		first.end()
		time.Sleep(over.over)
		q.turns.mu.Lock()
		if again := a.shares[heavy].owed + protocol.Cost(heavySteps(64)); again > maxOwed {
			t.Errorf("when it is asked again as told, %v is owed", again)
		}
		q.turns.mu.Unlock()
		q.wg.Wait()
	})
}

// held is a Stronghold whose zone works until it is let go, and counts.
type held struct {
	arrived chan *protocol.Request
	release chan struct{}
}

func hold(m *memory) *held {
	h := &held{arrived: make(chan *protocol.Request, 1000), release: make(chan struct{})}
	m.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		h.arrived <- req
		<-h.release
		return &protocol.Response{Status: protocol.Status_OK}, nil
	})
	return h
}

// send sends requests on a stream of its own, and takes no answers.
func send(t *testing.T, a, b *Node, reqs ...*protocol.Request) network.Stream {
	t.Helper()
	s := rawStream(t, a, b)
	var in []byte
	for i, req := range reqs {
		var err error
		if in, err = protocol.AppendFrame(in, &protocol.Frame{Id: uint64(i), Body: &protocol.Frame_Request{Request: req}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Write(in); err != nil {
		t.Fatal(err)
	}
	return s
}

// recover1 is a request that has a heavy turn.
func recover1(t *testing.T) *protocol.Request {
	return &protocol.Request{Id: protocol.NewID(), Operation: "bip39.recover", Location: location(t, "wallet/keys/main"), Secret: make([]byte, 100)}
}

// waitsFor waits until so many requests of a wait for a heavy turn of b.
func waitsFor(t *testing.T, a, b *Node, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d wait", want), func() bool {
		b.mu.Lock()
		who := b.askers[a.host.ID()]
		b.mu.Unlock()
		if who == nil {
			return false
		}
		b.turns.mu.Lock()
		defer b.turns.mu.Unlock()
		return len(who.shares[heavy].queue) == want
	})
}

// TestSlotsAreHeld: a request has its slot until the work has ended, though its asker said
// that he waits for a millisecond: so no more than the limit is ever under way.
func TestSlotsAreHeld(t *testing.T) {
	const limit = 4
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Limits.InFlightPerPeer = limit })
	h := hold(bm)
	var reqs []*protocol.Request
	for range 3 * limit {
		req := sign(t)
		req.TimeoutMs = 1
		reqs = append(reqs, req)
	}
	s := send(t, a, b, reqs...)
	for range limit {
		wait(t, "the first requests", h.arrived)
	}
	time.Sleep(50 * time.Millisecond) // long after their askers' time
	if got := bm.handled.Load(); got != limit {
		t.Errorf("%d are worked on, of %d that may be", got, limit)
	}
	s.Reset()
	if err := a.host.Network().ClosePeer(b.host.ID()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	b.mu.Lock()
	who := b.askers[a.host.ID()]
	b.mu.Unlock()
	if who.requests.TryAcquire(1) {
		t.Error("a slot of work that goes on was given back when the peer hung up")
	}
	close(h.release)
	eventually(t, "the slots come back with the end of the work", func() bool {
		if !who.requests.TryAcquire(limit) {
			return false
		}
		who.requests.Release(limit)
		return true
	})
}

// TestNothingBegins: of what waits when a peer is removed, his policy replaced, his stream
// reset, his connection closed or his time over, nothing is begun.
func TestNothingBegins(t *testing.T) {
	const waiting = 20
	for name, test := range map[string]struct {
		timeout uint32
		take    func(a, b *Node, bm *memory, s network.Stream)
	}{
		"the peer is removed":      {0, func(_, _ *Node, bm *memory, _ network.Stream) { bm.RemovePeer("a") }},
		"the policy is replaced":   {0, func(_, _ *Node, bm *memory, _ network.Stream) { bm.setPolicy(t, "") }},
		"the stream is reset":      {0, func(_, _ *Node, _ *memory, s network.Stream) { s.Reset() }},
		"the connection is closed": {0, func(a, b *Node, _ *memory, _ network.Stream) { a.host.Network().ClosePeer(b.host.ID()) }},
		"the time is over":         {200, func(*Node, *Node, *memory, network.Stream) {}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, _, bm := pair(t)
			b.turns.mu.Lock()
			b.turns.lines[heavy].alone, b.turns.lines[heavy].shared = 1, 1
			b.turns.mu.Unlock()
			h := hold(bm)
			send(t, a, b, recover1(t))
			wait(t, "the first request", h.arrived)
			var reqs []*protocol.Request
			for range waiting {
				req := recover1(t)
				req.TimeoutMs = test.timeout
				reqs = append(reqs, req)
			}
			s := send(t, a, b, reqs...)
			waitsFor(t, a, b, waiting)
			test.take(a, b, bm, s)
			if name == "the policy is replaced" { // is seen when each has its turn
				close(h.release)
			}
			waitsFor(t, a, b, 0)
			if name != "the policy is replaced" {
				close(h.release)
			}
			eventually(t, "nobody has a turn", func() bool {
				b.turns.mu.Lock()
				defer b.turns.mu.Unlock()
				return b.turns.lines[heavy].used == 0
			})
			if got := bm.handled.Load(); got != 1 {
				t.Errorf("%d requests were begun", got)
			}
		})
	}
}

// TestHalfClose: who only says that he will send no more has his answers.
func TestHalfClose(t *testing.T) {
	a, b, _, bm := pair(t)
	b.turns.mu.Lock()
	b.turns.lines[heavy].alone, b.turns.lines[heavy].shared = 1, 1
	b.turns.mu.Unlock()
	h := hold(bm)
	s := send(t, a, b, recover1(t), recover1(t), recover1(t))
	waitsFor(t, a, b, 2)
	s.CloseWrite()
	time.Sleep(2 * sweepEvery)
	close(h.release)
	for r := bufio.NewReader(s); ; {
		f, err := protocol.ReadFrame(r)
		if err != nil {
			break
		}
		if f.GetResponse().GetStatus() != protocol.Status_OK {
			t.Errorf("answered %v", f)
		}
	}
	if got := bm.handled.Load(); got != 3 {
		t.Errorf("%d of 3 were done", got)
	}
}

// TestLimited: whoever has too much waiting is told so, and when to come again; whoever has
// no right is told only that.
func TestLimited(t *testing.T) {
	a, b, _, bm := pair(t)
	h := hold(bm)
	var reqs []*protocol.Request
	for range 100 {
		req := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for range 64 {
			req.Steps = append(req.Steps, recover1(t))
		}
		reqs = append(reqs, req)
	}
	for len(reqs) > 0 { // on more streams than one, each of which has its own limit
		send(t, a, b, reqs[:50]...)
		reqs = reqs[50:]
	}
	wait(t, "the first request", h.arrived)
	ask := func() *protocol.Response {
		req := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for range 64 {
			req.Steps = append(req.Steps, recover1(t))
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		resp, err := a.Remote("b").Handle(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if resp := ask(); resp.Status != protocol.Status_LIMITED || resp.RetryAfterMs == 0 {
		t.Errorf("answered %v", resp)
	}
	bm.setPolicy(t, "")
	if resp := ask(); resp.Status != protocol.Status_DENIED || resp.RetryAfterMs != 0 {
		t.Errorf("without the right: %v", resp)
	}
	close(h.release)
}

// TestLocalDoorDoesNotWait for peers, however much of theirs waits.
func TestLocalDoorDoesNotWait(t *testing.T) {
	a, b, _, bm := pair(t)
	h := hold(bm)
	var reqs []*protocol.Request
	for range 50 {
		reqs = append(reqs, recover1(t))
	}
	send(t, a, b, reqs...)
	wait(t, "the first request", h.arrived)
	before := bm.handled.Load()
	local := recover1(t)
	done := make(chan struct{})
	go func() { defer close(done); b.Local().Handle(testContext(t), local) }()
	eventually(t, "the local user's request is in the zone", func() bool {
		select {
		case req := <-h.arrived:
			return bytes.Equal(req.Id, local.Id)
		default:
			return false
		}
	})
	if got := bm.handled.Load() - before; got > int64(1+b.turns.lines[heavy].alone) {
		t.Errorf("%d of the peer's requests went before", got)
	}
	close(h.release)
	<-done
}

// TestStagedTurn: a change has its turn until it is staged, not until it is on the disk.
func TestStagedTurn(t *testing.T) {
	a, b, _, bm := pair(t)
	release := make(chan struct{})
	var arrived atomic.Int64
	bm.staging = func(staged func()) {
		arrived.Add(1)
		staged()
		<-release // the disk
	}
	var reqs []*protocol.Request
	for range 20 {
		reqs = append(reqs, recover1(t))
	}
	send(t, a, b, reqs...)
	eventually(t, "all of them are with the disk", func() bool { return arrived.Load() == 20 })
	b.mu.Lock()
	who := b.askers[a.host.ID()]
	b.mu.Unlock()
	if who.requests.TryAcquire(int64(b.limits.InFlightPerPeer) - 19) {
		t.Error("a slot was given back before the answer")
	}
	close(release)
}

// TestCost: what is heavy, and what is not.
func TestCost(t *testing.T) {
	sign, big := sign(t), sign(t)
	big.Message = make([]byte, 500<<10)
	few := &protocol.Request{Operation: "pipeline.run", Steps: slices.Repeat([]*protocol.Request{sign}, 5)}
	many := &protocol.Request{Operation: "pipeline.run", Steps: slices.Repeat([]*protocol.Request{sign}, 64)}
	for _, test := range []struct {
		name  string
		req   *protocol.Request
		heavy bool
	}{
		{"a signature", sign, false}, {"of a long message", big, true}, {"a short pipeline", few, false}, {"a long one", many, true},
		{"a hash", &protocol.Request{Operation: "bip39.recover"}, true}, {"a listing", &protocol.Request{Operation: "record.list"}, true},
		{"a key", &protocol.Request{Operation: "key.generate"}, false}, {"the largest value", &protocol.Request{Operation: "store.put", Value: make([]byte, protocol.MaxValue)}, false},
		{"a pipeline with a hash", heavySteps(1), true},
	} {
		if got := protocol.Cost(test.req) >= protocol.HeavyCost; got != test.heavy {
			t.Errorf("%s costs %v", test.name, protocol.Cost(test.req))
		}
	}
}

// TestReadingDoesNotWaitForWriting: however many changes wait for the file, and all their
// turns with them, a request that changes nothing has its turn.
func TestReadingDoesNotWaitForWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, writer, reader := newTurns(), new1(), new1()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 200 {
			for _, req := range []*protocol.Request{{Operation: "store.put"}, heavySteps(1)} {
				wg.Go(func() { ts.take(ctx, writer, alive, req) })
			}
		}
		synctest.Wait()
		done := make(chan struct{})
		go func() { defer close(done); turnOf(t, ts, reader, sign(t)) }()
		synctest.Wait()
		select {
		case <-done:
		default:
			t.Error("a signature waits for changes")
		}
		cancel()
		wg.Wait()
		<-done
	})
}

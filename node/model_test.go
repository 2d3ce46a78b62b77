package node

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"pgregory.net/rapid"

	"github.com/stronghold-go/stronghold/protocol"
)

// asked is a request of an asker of the model, from when it is read until it is answered.
type asked struct {
	by      *askerModel
	kind    int
	cost    time.Duration
	size    int
	over    bool // too much of its asker's waited when it came
	ctx     context.Context
	cancel  func()
	dead    atomic.Bool // its asker has left, or was removed
	release func()
	turn    *turn // once it is given
	err     error
	told    bool
}

func (r *asked) gone() bool { return r.dead.Load() || r.ctx.Err() != nil }

// askerModel is what one asker must have: what waits in its order, and what he has had.
type askerModel struct {
	*asker
	waiting [heavy + 1][]*asked
	had     [heavy + 1]time.Duration
	late    time.Duration // of had, what took longer than was estimated
	slots   int
	bytes   int
}

const (
	modelSlots = 48
	modelBytes = 48_000
)

// turnsModel is askers of turns, and who has one.
type turnsModel struct {
	*turns
	askers  []*askerModel
	working [heavy + 1][]*asked
	start   [heavy + 1]time.Duration
	largest [heavy + 1]time.Duration
	latest  *askerModel
	changed time.Time
	user    time.Time
}

func newTurnsModel() *turnsModel {
	m := &turnsModel{turns: newTurns()}
	for kind, n := range [][2]int{light: {6, 3}, changing: {4, 2}, heavy: {3, 1}} {
		m.lines[kind].alone, m.lines[kind].shared = n[0], n[1]
	}
	limits := Limits{InFlightPerPeer: modelSlots}.withDefaults()
	limits.BytesPerPeer = modelBytes // of small frames
	for range 3 {
		m.askers = append(m.askers, &askerModel{asker: newAsker("", limits)})
	}
	return m
}

// most is how many may work at once.
func (m *turnsModel) most(kind int) int {
	within := func(t time.Time) bool { return !t.IsZero() && time.Since(t) < company }
	if within(m.changed) || kind == heavy && within(m.user) {
		return m.lines[kind].shared
	}
	return m.lines[kind].alone
}

// ask brings a request, which takes a slot and bytes, and then waits for its turn.
func (m *turnsModel) ask(t *rapid.T, a *askerModel, req *protocol.Request, size int, patience time.Duration) {
	r := &asked{by: a, size: size}
	r.kind, r.cost = kindOf(req)
	r.ctx, r.cancel = context.WithTimeout(context.Background(), patience)
	moment, over := context.WithTimeout(context.Background(), time.Millisecond)
	defer over()
	release, err := a.admit(moment, &network.NullScope{}, size)
	if room := a.slots < modelSlots && a.bytes+size <= modelBytes; room != (err == nil) {
		t.Fatalf("with %d slots and %d bytes held, %d bytes more: %v", a.slots, a.bytes, size, err)
	}
	if err != nil {
		r.cancel()
		return
	}
	r.release = release
	a.slots++
	a.bytes += size
	if m.latest != a {
		if m.latest != nil {
			m.changed = time.Now()
		}
		m.latest = a
	}
	owed := r.cost
	for _, w := range a.waiting[r.kind] {
		owed += w.cost
	}
	if len(a.waiting[r.kind]) > 0 && m.real(owed) > maxOwed {
		r.over, r.kind, r.cost = true, light, r.cost%protocol.HeavyCost
	}
	m.largest[r.kind] = max(m.largest[r.kind], r.cost)
	if len(a.waiting[r.kind]) == 0 {
		a.had[r.kind] = max(a.had[r.kind], m.start[r.kind])
	}
	a.waiting[r.kind] = append(a.waiting[r.kind], r)
	go func() {
		r.turn, r.err = m.take(r.ctx, a.asker, func() bool { return !r.dead.Load() }, req)
		r.told = true
	}()
	m.settle(t)
}

// settle has all that can happen happen, and holds who got a turn against who was to get one.
func (m *turnsModel) settle(t *rapid.T) {
	synctest.Wait()
	for kind := range m.lines {
		given := 0
		for _, a := range m.askers {
			a.waiting[kind] = slices.DeleteFunc(a.waiting[kind], func(r *asked) bool {
				if r.told && r.err == nil {
					given++
					return false
				}
				if r.told {
					if !r.gone() {
						t.Fatalf("one whom somebody waits for is dropped: %v", r.err)
					}
					m.leave(r)
				}
				return r.told
			})
		}
		if most := m.most(kind); given > 0 && len(m.working[kind])+given > most {
			t.Fatalf("%d turns at once, of kind %d, where %d may be", len(m.working[kind])+given, kind, most)
		}
		for range given {
			m.next(t, kind)
		}
	}
}

// next is the turn that was given next: to one who has had least of those who wait.
func (m *turnsModel) next(t *rapid.T, kind int) {
	var next *asked
	least := time.Duration(1<<63 - 1)
	for _, a := range m.askers {
		if len(a.waiting[kind]) == 0 || a.had[kind] > least || a.had[kind] == least && next != nil && next.told {
			continue
		}
		next, least = a.waiting[kind][0], a.had[kind]
	}
	if !next.told {
		t.Fatalf("who has had %v, least of all who wait, was passed over", least)
	}
	if next.gone() {
		t.Fatal("a turn was given to one who is gone")
	}
	if next.over != (next.turn.over > 0) || next.cost != next.turn.cost {
		t.Fatalf("too much waited: %t, %v; the turn: %v, %v", next.over, next.cost, next.turn.over, next.turn.cost)
	}
	a := next.by
	a.waiting[kind] = a.waiting[kind][1:]
	m.start[kind] = max(m.start[kind], a.had[kind])
	a.had[kind] = m.start[kind] + next.cost
	m.working[kind] = append(m.working[kind], next)
}

// leave is the end of a request: now it may give back what it holds, and not before.
func (m *turnsModel) leave(r *asked) {
	r.cancel()
	r.release()
	r.by.slots--
	r.by.bytes -= r.size
}

// end ends the work on a request.
func (m *turnsModel) end(t *rapid.T, kind, i, times int) {
	r := m.working[kind][i]
	m.working[kind] = slices.Delete(m.working[kind], i, i+1)
	if late := time.Since(r.turn.begun) - r.cost; kind == heavy && late > 0 {
		r.by.had[kind] += late
		r.by.late += late
	}
	for range times {
		r.turn.end()
	}
	m.leave(r)
	m.settle(t)
	if waiting := m.lines[kind].waiting.Len(); waiting > 0 && len(m.working[kind]) < m.most(kind) {
		t.Fatalf("%d askers wait, and %d of %d have turns of kind %d", waiting, len(m.working[kind]), m.most(kind), kind)
	}
}

// check holds what is kept against the model.
func (m *turnsModel) check(t *rapid.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for kind := range m.lines {
		if got, want := m.lines[kind].used, len(m.working[kind]); got != want {
			t.Fatalf("%d turns of kind %d are counted, %d are given", got, kind, want)
		}
		for _, a := range m.askers {
			var owed time.Duration
			for _, r := range a.waiting[kind] {
				owed += r.cost
			}
			if s := &a.shares[kind]; s.owed != owed || len(s.queue) != len(a.waiting[kind]) {
				t.Fatalf("of kind %d wait %d, of %v; want %d, of %v", kind, len(s.queue), s.owed, len(a.waiting[kind]), owed)
			}
			for _, b := range m.askers {
				if len(a.waiting[kind]) > 0 && len(b.waiting[kind]) > 0 {
					if ahead := a.shares[kind].paid - b.shares[kind].paid; ahead > m.largest[kind]+a.late {
						t.Fatalf("two wait, and one has had %v more", ahead)
					}
				}
			}
		}
	}
	for _, a := range m.askers {
		slots, bytes := int64(modelSlots-a.slots), int64(modelBytes-a.bytes)
		if a.requests.TryAcquire(slots+1) || a.bytesFree(bytes+1) || !a.requests.TryAcquire(slots) || !a.bytesFree(bytes) {
			t.Fatalf("not %d slots and %d bytes are held", a.slots, a.bytes)
		}
		a.requests.Release(slots)
	}
}

// bytesFree says whether so many bytes are.
func (a *askerModel) bytesFree(n int64) bool {
	ok := a.asker.bytes.TryAcquire(n)
	if ok {
		a.asker.bytes.Release(n)
	}
	return ok
}

// Whoever asks, leaves, is removed, and whatever takes how long: turns are given up to the
// limit, to the asker who has had least, and never to one who is gone; what waits is
// bounded; and slots, bytes and turns come back when the work has ended, and not before.
func TestTurnsModel(t *testing.T) {
	steps, failed := 0, 0
	defer func() {
		if failed > 0 {
			t.Logf("found after %d steps", failed)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m, over := newTurnsModel(), false
			m.pace = rapid.SampledFrom([]float64{1, 16}).Draw(t, "pace")
			gone := func(a *askerModel) {
				for kind := range a.waiting {
					for _, r := range a.waiting[kind] {
						r.dead.Store(true)
					}
				}
			}
			defer func() {
				if over {
					return
				}
				if failed == 0 {
					failed = steps
				}
				for _, a := range m.askers { // so that nobody waits any more
					for kind := range m.lines {
						for _, r := range a.waiting[kind] {
							r.cancel()
						}
					}
				}
				m.sweep()
				time.Sleep(3 * sweepEvery)
			}()
			someone := func(t *rapid.T) *askerModel {
				return m.askers[rapid.IntRange(0, len(m.askers)-1).Draw(t, "asker")]
			}
			requests := []*protocol.Request{{Operation: "ed25519.sign"}, {Operation: "store.put"}, {Operation: "key.generate"}, heavySteps(1), heavySteps(3), heavySteps(64)}
			draw := func(t *rapid.T) (*askerModel, *protocol.Request, time.Duration) {
				return someone(t), requests[rapid.IntRange(0, len(requests)-1).Draw(t, "request")],
					rapid.SampledFrom([]time.Duration{20 * time.Millisecond, time.Minute, time.Hour}).Draw(t, "patience")
			}
			ends := func(t *rapid.T) {
				kind := rapid.IntRange(light, heavy).Draw(t, "kind")
				if len(m.working[kind]) == 0 {
					t.Skip()
				}
				m.end(t, kind, rapid.IntRange(0, len(m.working[kind])-1).Draw(t, "which"), rapid.IntRange(1, 2).Draw(t, "times"))
			}
			ask := func(t *rapid.T) {
				a, req, patience := draw(t)
				m.ask(t, a, req, rapid.IntRange(1, 3000).Draw(t, "size"), patience)
			}
			t.Repeat(map[string]func(*rapid.T){
				"ask": ask, "ask again": ask, "end": ends, "end another": ends,
				"ask much": func(t *rapid.T) {
					a, req, patience := draw(t)
					for range rapid.IntRange(2, 20).Draw(t, "n") {
						m.ask(t, a, req, 10, patience)
					}
				},
				"remove": func(t *rapid.T) {
					gone(someone(t))
				},
				"sweep": func(t *rapid.T) { m.sweep() },
				"time passes": func(t *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, 30 * time.Millisecond, 2 * sweepEvery, company}).Draw(t, "time"))
				},
				"the user": func(t *rapid.T) {
					m.meetLocal()
					m.user = time.Now()
				},
				"": func(t *rapid.T) {
					steps++
					m.settle(t)
					m.check(t)
				},
			})
			for _, a := range m.askers {
				gone(a)
			}
			m.sweep()
			m.settle(t)
			for kind := range m.lines {
				for len(m.working[kind]) > 0 {
					m.end(t, kind, 0, 1)
				}
			}
			m.check(t)
			time.Sleep(2 * sweepEvery)
			synctest.Wait()
			for kind := range m.lines {
				if l := &m.lines[kind]; l.used != 0 || l.waiting.Len() != 0 || m.sweeping {
					t.Fatalf("at the end %d have a turn, %d wait, somebody looks: %t", l.used, l.waiting.Len(), m.sweeping)
				}
			}
			over = true
		})
	})
}

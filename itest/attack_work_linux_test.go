package itest

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// made is how many of the pipelines of an attacker have been done: the first step of each
// makes a record of its own.
func (h *house) made(t testing.TB) int {
	t.Helper()
	n := 0
	err := h.owner.List(t.Context(), at("inbox/m"), func(e *protocol.Entry) bool {
		if i, err := strconv.Atoi(string(e.Location.Record)); err == nil && i%64 == 0 {
			n++
		}
		return true
	})
	if err != nil && !errors.Is(err, protocol.ErrNotFound) { // nobody has written there yet
		t.Fatal(err)
	}
	return n
}

// What a peer has asked for and nobody waits for any more is not begun: its time is over,
// he has hung up, or he was removed.
func TestAttackAbandonedWork(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout uint32
		end     func(*testing.T, *house, *raid)
	}{
		{"its time is over", 1, nil},
		{"he hangs up", 0, func(t *testing.T, _ *house, r *raid) { r.stop(t) }},
		{"he is killed", 0, func(_ *testing.T, _ *house, r *raid) { r.cmd.Process.Kill() }},
		{"he is removed", 0, func(t *testing.T, h *house, _ *raid) {
			if code, out := h.command(t, "peer", "rm", "mallory"); code != 0 {
				t.Fatalf("peer rm: exit %d: %s", code, out)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := guests(t, "mallory")
			h := newHouse(t, all, guestPolicy)
			before := h.made(t)
			r := all["mallory"].attack(t, assault{Kind: "pipeline", Streams: 4, InFlight: 15, Count: 60, TimeoutMs: tt.timeout})
			until(t, "a pipeline is done", func() bool { return tt.timeout != 0 || h.made(t) > before })
			if tt.end != nil {
				tt.end(t, h, r)
			} else {
				time.Sleep(time.Second) // until all are sent, and over
			}
			then := h.made(t)
			const underWay = 4 // may be done: each worker of the zone may have begun one, and the last answer is on its way
			if last := h.settles(t); last > then+underWay {
				t.Errorf("%d pipelines were done when nobody waited for more, and then %d", then, last)
			}
			if st, err := h.owner.Status(t.Context()); err != nil || st.Locked {
				t.Errorf("the node: %v, %v", st, err)
			}
			h.reopens(t)
		})
	}
}

// settles waits until the zone has been at rest for a while, and returns how many pipelines
// have been done by then.
func (h *house) settles(t testing.TB) int {
	t.Helper()
	zone := zonePID(t, h.owner)
	ticks := func() int {
		s := stat(zone)
		if s == nil {
			t.Fatal("the zone has ended")
		}
		user, _ := strconv.Atoi(s[11])
		return user
	}
	for deadline := time.Now().Add(time.Minute); ; {
		before := ticks()
		time.Sleep(700 * time.Millisecond)
		if ticks()-before < 10 {
			return h.made(t)
		}
		if time.Now().After(deadline) {
			t.Fatal("the zone does not come to rest")
		}
	}
}

// What a peer has in the memory of node and zone is bounded while he attacks, and goes.
func TestAttackMemory(t *testing.T) {
	for _, tt := range []struct {
		name string
		assault
	}{
		{"large frames whose time is over", assault{Kind: "frames", Streams: 8, InFlight: 64, TimeoutMs: 1}},
		{"answers that nobody reads", assault{Kind: "unread", Streams: 16, InFlight: 1}},
		{"pipelines whose time is over", assault{Kind: "pipeline", Streams: 8, InFlight: 32, TimeoutMs: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := guests(t, "mallory")
			h := newHouse(t, all, guestPolicy)
			honest := all["honest"].client(t)
			before := h.memory(t)
			r := all["mallory"].attack(t, tt.assault)
			most := 0
			for end := time.Now().Add(longer(4*time.Second, 60*time.Second)); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				most = max(most, h.memory(t))
				if _, err := honest.Sign(t.Context(), at("wallet/keys/main"), []byte("m")); err != nil {
					t.Fatalf("the honest peer: %v", err)
				}
			}
			y := r.stop(t)
			const bound = 250 // MiB: twice the 64 that a peer may have in either process, and what Go's collector leaves lying
			if most > before+bound {
				t.Errorf("node and zone had %d MiB, and %d before; %v", most, before, y)
			}
			const left = 100 // MiB: what the collectors give back in their own time, some of it minutes later
			after := h.memory(t)
			for end := time.Now().Add(15 * time.Second); after > before+left && time.Now().Before(end); after = h.memory(t) {
				time.Sleep(200 * time.Millisecond)
			}
			if after > before+left {
				t.Errorf("node and zone have %d MiB when it is over, and had %d before", after, before)
			}
			t.Logf("%d MiB before, %d at most, %d when it is over; %v", before, most, after, y)
		})
	}
}

// A denial costs the log little: a peer who asks for nothing but what he may not have is
// told of in few lines.
func TestAttackLog(t *testing.T) {
	t.Parallel()
	all := guests(t, "mallory")
	h := newHouse(t, all, guestPolicy)
	r := all["mallory"].attack(t, assault{Kind: "denied", Streams: 4, InFlight: 16, Count: 5000})
	time.Sleep(longer(2*time.Second, 60*time.Second))
	y := r.stop(t)
	if y.refused() < 1000 || y.Statuses["ok"] > 0 {
		t.Fatalf("the attacker got %v", y)
	}
	if err := h.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	h.wait(t)
	if lines := strings.Count(h.out.String(), "\n"); lines > 100 {
		t.Errorf("%d denials make %d lines of the log", y.refused(), lines)
	}
}

package local

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stronghold-go/stronghold/protocol"
)

// goes is bytes that a peer has put where they go by themselves, and the hour in which they do.
type goes struct{ bytes, until int64 }

// peerModel is what a peer has made, was told, and still waits for.
type peerModel struct {
	made    amounts
	passing []goes
	left    float64 // of the journal
	at      time.Time
}

// pendingModel is a change that the zone has been asked for.
type pendingModel struct {
	id      string
	of      *peerModel
	sp      *spending
	most    amounts // that it can make, by the operation and by what the zone was told
	passing []goes
}

func (p *peerModel) passes(hour int64) (n int64) {
	for _, g := range p.passing {
		if g.until >= hour {
			n += g.bytes
		}
	}
	return n
}

// drawChange is a request, the most that it makes, and what of it goes by itself.
func drawChange(t *rapid.T, at int64) (*protocol.Request, amounts, []goes) {
	storing := func(ttl time.Duration, session bool) (*protocol.Request, amounts, []goes) {
		size := rapid.IntRange(1, 60).Draw(t, "size")
		req := put(size, ttl, session)
		switch {
		case session && ttl == 0:
			return req, amounts{}, []goes{{int64(size), (at + dayMs) / hourMs}}
		case session:
			return req, amounts{}, []goes{{int64(size), (at + ttl.Milliseconds()) / hourMs}}
		case ttl > 0:
			return req, amounts{clients: 1}, []goes{{int64(size), (at + ttl.Milliseconds()) / hourMs}}
		}
		return req, amounts{clients: 1, storeBytes: int64(size)}, nil
	}
	switch rapid.IntRange(0, 8).Draw(t, "what") {
	case 0:
		return &protocol.Request{Operation: "record.revoke"}, amounts{tombstones: 1}, nil
	case 1:
		return &protocol.Request{Operation: "record.move"}, amounts{1, 1, 1, 0}, nil
	case 2:
		return &protocol.Request{Operation: "store.remove"}, amounts{}, nil
	case 3, 4:
		return storing(0, false)
	case 5:
		return storing(time.Duration(rapid.IntRange(1, 23).Draw(t, "hours"))*time.Hour, rapid.Bool().Draw(t, "session"))
	case 6:
		return storing(0, true)
	case 7:
		one, most, passing := drawChange(t, at)
		two, also, passingToo := drawChange(t, at)
		most.add(also)
		return &protocol.Request{Operation: "pipeline.run", Steps: []*protocol.Request{one, two}}, most, slices.Concat(passing, passingToo)
	}
	return &protocol.Request{Operation: "key.generate"}, amounts{records: 1, clients: 1}, nil
}

// Whatever several peers change at once, and whether it is done, refused or lost, a peer
// forgotten or the node started again: nobody has made more than he may by what was
// acknowledged, and what was reserved is given back.
func TestUsageModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	st, err := openState(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { st.Close() }()
	limits := PeerLimits{Records: 4, Tombstones: 3, Clients: 5, StoreBytes: 150, Journal: 2000}
	most := amounts{limits.Records, limits.Tombstones, limits.Clients, limits.StoreBytes}
	steps, failed := 0, 0
	defer func() {
		if t.Failed() {
			t.Logf("found after %d steps", failed)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		ended := false
		defer func() {
			if !ended && failed == 0 {
				failed = steps
			}
		}()
		st.NoSync = true
		now := time.UnixMilli(1_700_000_000_000)
		begin := func() *usages {
			s := newUsages(limits)
			s.now = func() time.Time { return now }
			return s
		}
		s := begin()
		ids := []string{"a", "b", "c"}
		peers := map[string]*peerModel{}
		for _, id := range ids {
			peers[id] = new(peerModel)
			s.usage(id)
		}
		if err := st.setUsage(map[string]*protocol.Usage{"a": nil, "b": nil, "c": nil}); err != nil {
			t.Fatal(err)
		}
		var pending []*pendingModel
		end := func(t *rapid.T) {
			if len(pending) == 0 {
				t.Skip()
			}
			i := rapid.IntRange(0, len(pending)-1).Draw(t, "which")
			c := pending[i]
			pending = slices.Delete(pending, i, i+1)
			if rapid.IntRange(0, 3).Draw(t, "outcome") == 0 {
				c.sp.end(false, nil)
				return
			}
			up := func(n int64) int64 { return rapid.Int64Range(-1, n).Draw(t, "makes") }
			made := amounts{up(c.most.records), up(c.most.tombstones), up(c.most.clients), up(c.most.storeBytes)}
			entry := rapid.IntRange(1, 900).Draw(t, "entry")
			c.sp.end(true, &protocol.Change{Records: made.records, Tombstones: made.tombstones, Clients: made.clients, StoreBytes: made.storeBytes, Entry: make([]byte, entry)})
			c.of.made.add(made)
			c.of.made = c.of.made.atLeast(amounts{})
			c.of.left -= float64(entry)
			c.of.passing = append(c.of.passing, c.passing...)
		}
		ask := func(t *rapid.T) {
			id := rapid.SampledFrom(ids).Draw(t, "peer")
			p := peers[id]
			req, bound, passing := drawChange(t, now.UnixMilli())
			hour := now.UnixMilli() / hourMs
			p.left = min(p.left+now.Sub(p.at).Seconds()*float64(limits.Journal)/60, float64(limits.Journal))
			p.at = now
			stored := p.made.storeBytes + p.passes(hour)
			for _, c := range pending {
				if c.of == p {
					stored += max(0, c.most.storeBytes) + (&peerModel{passing: c.passing}).passes(hour)
				}
			}
			var bytes int64
			for _, g := range passing {
				bytes += g.bytes
			}
			sp, refusal := s.begin(id, req)
			switch full := bytes > 0 && stored+bytes > limits.StoreBytes; {
			case refusal != nil && !full && p.left > 1e-6:
				t.Fatalf("%s, with %v of the journal left and %d bytes stored: %v", req.Operation, p.left, stored, refusal)
			case refusal != nil:
				return
			case full || p.left < -1e-6:
				t.Fatalf("%s is begun, with %v of the journal left and %d bytes stored", req.Operation, p.left, stored)
			}
			c := &pendingModel{id, p, sp, bound, passing}
			if l := req.Left; l != nil {
				left := amounts{int64(l.Records), int64(l.Tombstones), int64(l.Clients), int64(l.StoreBytes)}
				c.most = bound.negative().atLeast(left.negative()).negative()
			}
			pending = append(pending, c)
		}
		t.Repeat(map[string]func(*rapid.T){
			"ask": ask, "ask again": ask, "end": end,
			"time passes": func(t *rapid.T) {
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, time.Hour, 7 * time.Hour, 26 * time.Hour}).Draw(t, "time"))
			},
			"forget": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") != 0 {
					t.Skip()
				}
				id := rapid.SampledFrom(ids).Draw(t, "peer")
				s.keep(slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other == id }))
				peers[id] = new(peerModel)
				s.usage(id)
			},
			"start again": func(t *rapid.T) {
				if err := st.setUsage(s.changed()); err != nil {
					t.Fatal(err)
				}
				if rapid.IntRange(0, 9).Draw(t, "the file too") == 0 {
					st.Close()
					if st, err = openState(path); err != nil {
						t.Fatal(err)
					}
					st.NoSync = true
				}
				remembered, err := st.usage()
				if err != nil {
					t.Fatal(err)
				}
				s, pending = begin(), nil
				s.load(remembered)
				for id, p := range peers {
					peers[id] = &peerModel{made: p.made}
					s.usage(id)
				}
			},
			"": func(t *rapid.T) {
				steps++
				hour := now.UnixMilli() / hourMs
				for id, p := range peers {
					u, reserved := s.by[id], amounts{}
					passing := p.passes(hour)
					for _, c := range pending {
						if c.of == p {
							reserved.add(c.most)
							passing += (&peerModel{passing: c.passing}).passes(hour)
						}
					}
					if u.made != p.made || u.underway != reserved {
						t.Fatalf("%s: made %v, reserved %v; want %v, %v", id, u.made, u.underway, p.made, reserved)
					}
					if got := u.passing.sum(hour); got != passing {
						t.Fatalf("%s: %d bytes are to pass, want %d", id, got, passing)
					}
					if p.made.atLeast(most) != most || p.made.storeBytes+p.passes(hour) > limits.StoreBytes {
						t.Fatalf("%s has made more than he may: %s", id, fmt.Sprint(p.made, p.passes(hour)))
					}
				}
			},
		})
		ended = true
	})
}

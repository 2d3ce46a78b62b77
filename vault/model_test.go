package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// model is what a DB must be to whoever looks: plain maps.
type model struct {
	records map[string]string // by path
	next    map[string]uint64 // of counters, by client/vault
	keep    map[string]uint64
	vaults  map[string]bool
}

func newModel() model {
	return model{map[string]string{}, map[string]uint64{}, map[string]uint64{}, map[string]bool{}}
}

func (m model) clone() model {
	return model{maps.Clone(m.records), maps.Clone(m.next), maps.Clone(m.keep), maps.Clone(m.vaults)}
}

// prune takes away what a vault does not keep.
func (m model) prune(in string) {
	for n := range floor(m.next[in], m.keep[in]) {
		delete(m.records, fmt.Sprintf("%s/@%d", in, n))
	}
}

func (m model) setKeep(in string, n uint64) error {
	if !m.vaults[in] {
		return ErrNotFound
	}
	m.keep[in] = n
	m.prune(in)
	return nil
}

var (
	clients = []string{"a", "b"}
	vaults  = []string{"x", "y"}
	spots   = []string{"1", "2", "3", "@0", "@1", "@2", "@head"}
)

// target is a place and its path, as the model knows it.
type target struct {
	in, record string
}

func (s target) place() Place {
	p := at(s.in + "/" + s.record)
	switch {
	case s.record == "@head":
		p.Counter, p.Head, p.RecordName = true, true, nil
	case s.record[0] == '@':
		p = p.Version(uint64(s.record[1] - '0'))
	}
	return p
}

// path is where s lies, for reading or for writing; "" if it lies nowhere.
func (m model) path(s target, write bool) string {
	if s.record != "@head" {
		return s.in + "/" + s.record
	}
	n := m.next[s.in]
	if !write {
		if n == 0 {
			return ""
		}
		n--
	}
	return fmt.Sprintf("%s/@%d", s.in, n)
}

func (m model) put(s target, secret string, overwrite bool) error {
	path := m.path(s, true)
	var n uint64
	_, err := fmt.Sscanf(path[len(s.in)+1:], "@%d", &n)
	if err == nil && n < floor(m.next[s.in], m.keep[s.in]) {
		return ErrOld
	}
	if _, there := m.records[path]; there && !overwrite {
		return ErrExists
	}
	m.records[path] = secret
	m.vaults[s.in] = true
	if err == nil {
		m.next[s.in] = max(m.next[s.in], n+1)
		m.prune(s.in)
	}
	return nil
}

func (m model) revoke(s target) error {
	path := m.path(s, false)
	if _, there := m.records[path]; !there {
		return ErrNotFound
	}
	delete(m.records, path)
	return nil
}

func drawTarget(t *rapid.T) target {
	return target{
		rapid.SampledFrom(clients).Draw(t, "client") + "/" + rapid.SampledFrom(vaults).Draw(t, "vault"),
		rapid.SampledFrom(spots).Draw(t, "record"),
	}
}

// dump is the committed state as a plain map.
func dump(t *rapid.T, db *DB) map[string]string {
	all := map[string]string{}
	page, more, err := list(db, nil, nil, Cursor{}, 1000)
	if err != nil || more {
		t.Fatal(more, err)
	}
	for _, l := range page {
		err := db.Lend(l.Place, func(_ *Record, b []byte) error { all[path(l.Place)] = string(b); return nil })
		if err != nil {
			t.Fatal(path(l.Place), err)
		}
	}
	return all
}

// Whatever is staged, committed and aborted, in whatever order: a DB is what
// plain maps would be, a frozen view stays, and what was written to the journal
// makes the same state again.
func TestModel(t *testing.T) {
	fresh := newDB(t)
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
		db := New(fresh.arena, fresh.key, fresh.device)
		replayed := New(fresh.arena, fresh.key, fresh.device)
		committed := newModel()
		type step struct {
			change *Change
			after  model
		}
		var staged []step
		latest := func() model {
			if len(staged) > 0 {
				return staged[len(staged)-1].after
			}
			return committed
		}
		type frozen struct {
			view *View
			want int
		}
		var views []frozen
		count := func(v *View) (n int) {
			for _, c := range v.Clients {
				for _, v := range c.Vaults {
					for r := range v.Records {
						if !r.Revoked {
							n++
						}
					}
				}
			}
			return n
		}
		secrets := 0

		t.Repeat(map[string]func(*rapid.T){
			"stage": func(t *rapid.T) {
				m := latest().clone()
				var want error
				steps := rapid.IntRange(1, 3).Draw(t, "steps")
				c, err := db.Stage(func(tx *Tx) error {
					for range steps {
						s := drawTarget(t)
						var got error
						switch rapid.SampledFrom([]string{"put", "put", "put", "revoke", "revoke", "keep"}).Draw(t, "what") {
						case "keep":
							n := rapid.Uint64Range(0, 3).Draw(t, "n")
							want, got = m.setKeep(s.in, n), tx.Keep(s.place(), n)
						case "revoke":
							want, got = m.revoke(s), tx.Revoke(s.place())
						case "put":
							secrets++
							secret, over := fmt.Sprint("secret ", secrets), rapid.Bool().Draw(t, "overwrite")
							want = m.put(s, secret, over)
							_, got = tx.Put(s.place(), value(secret), over)
						}
						if !errors.Is(got, want) {
							t.Fatalf("%v: got %v, want %v", s, got, want)
						}
						if got != nil {
							return got
						}
					}
					return nil
				})
				if !errors.Is(err, want) {
					t.Fatalf("got %v, want %v", err, want)
				}
				if err == nil {
					staged = append(staged, step{c, m})
				}
			},
			"stage nothing": func(t *rapid.T) {
				c, err := db.Stage(func(*Tx) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				if len(staged) == 0 && c != nil || len(staged) > 0 && (c == nil || len(c.Edits) > 0 || c.Sequence != staged[len(staged)-1].change.Sequence) {
					t.Fatalf("nothing, behind %d changes, is %+v", len(staged), c)
				}
			},
			"commit": func(t *rapid.T) {
				if len(staged) == 0 {
					t.Skip()
				}
				n := rapid.IntRange(1, len(staged)).Draw(t, "n")
				if err := db.Commit(staged[n-1].change.Sequence); err != nil {
					t.Fatal(err)
				}
				for _, s := range staged[:n] {
					if err := replayed.Apply(s.change); err != nil {
						t.Fatal(err)
					}
				}
				committed, staged = staged[n-1].after, staged[n:]
			},
			"abort": func(t *rapid.T) {
				if len(staged) == 0 {
					t.Skip()
				}
				n := rapid.IntRange(0, len(staged)-1).Draw(t, "n")
				db.Abort(staged[n].change.Sequence)
				staged = staged[:n]
			},
			"freeze": func(t *rapid.T) {
				v := db.Freeze()
				views = append(views, frozen{v, count(v)})
			},
			"": func(t *rapid.T) {
				steps++
				if got := dump(t, db); !maps.Equal(got, committed.records) {
					t.Fatalf("the DB holds %v, want %v", got, committed.records)
				}
				for _, c := range clients {
					for _, v := range vaults {
						for _, r := range spots {
							s := target{c + "/" + v, r}
							_, err := db.Stat(s.place())
							if _, there := committed.records[committed.path(s, false)]; there != (err == nil) {
								t.Fatalf("%v: there %v, %v", s, there, err)
							}
						}
					}
				}
				if db.live != len(committed.records) || len(staged) == 0 && db.ahead.live != 0 {
					t.Fatalf("%d records are counted, want %d; %d ahead of %d changes", db.live, len(committed.records), db.ahead.live, len(staged))
				}
				tombs := 0
				db.clients.Scan(func(c item[*client]) bool {
					c.v.vaults.Scan(func(v item[*vault]) bool { tombs += v.v.records.len() - v.v.live; return true })
					return true
				})
				if db.tombs != tombs || len(staged) == 0 && (db.ahead.tombs != 0 || db.ahead.clients != 0) {
					t.Fatalf("%d tombstones are counted, want %d; %d and %d clients ahead of %d changes", db.tombs, tombs, db.ahead.tombs, db.ahead.clients, len(staged))
				}
				for _, f := range views {
					if n := count(f.view); n != f.want {
						t.Fatalf("a frozen view has %d records, had %d", n, f.want)
					}
				}
			},
		})
		if got := dump(t, replayed); !maps.Equal(got, committed.records) {
			t.Fatalf("replayed: %v, want %v", got, committed.records)
		}
		if db.Sequence() != replayed.Sequence() {
			t.Fatalf("sequences %d, %d", db.Sequence(), replayed.Sequence())
		}
		ended = true
	})
}

// Readers, writers and listers at once: a reader sees a whole change or none of
// it, each counter number is given once, and what a writer was told is there.
func TestConcurrently(t *testing.T) {
	db := newDB(t)
	const writers, each = 4, 100
	var disk sync.Mutex // stands for the journal: stage and commit in one go
	var done atomic.Bool
	head := In([]byte("c"), []byte("log"))
	head.Counter, head.Head = true, true
	pair := [2]Place{at("c/v/left"), at("c/v/right")}

	var writing, reading sync.WaitGroup
	numbers := make([][]uint64, writers)
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				secret := fmt.Sprintf("writer %d, %d", w, i)
				var p Place
				c, err := db.Stage(func(tx *Tx) (err error) {
					for _, p := range pair {
						if _, err := tx.Put(p, value(secret), true); err != nil {
							return err
						}
					}
					p, err = tx.Put(head, value(secret), false)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				disk.Lock()
				err = db.Commit(c.Sequence)
				disk.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				numbers[w] = append(numbers[w], p.Number)
				if got := read(t, db, p); got != secret {
					t.Errorf("number %d holds %q, want %q", p.Number, got, secret)
				}
			}
		})
	}
	for range 2 {
		reading.Go(func() {
			for !done.Load() {
				view := db.Freeze()
				var changed []uint64
				for _, c := range view.Clients {
					for _, v := range c.Vaults {
						if v.ID != pair[0].Vault {
							continue
						}
						for r := range v.Records {
							changed = append(changed, r.Changed.Sequence)
						}
					}
				}
				if len(changed) == 1 || len(changed) == 2 && changed[0] != changed[1] {
					t.Errorf("half a change is seen: %v", changed)
				}
				for _, p := range pair {
					read(t, db, p)
				}
				if _, _, err := list(db, nil, nil, Cursor{}, 10); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(numbers...)))
	for i, n := range all {
		if n != uint64(i) {
			t.Fatalf("counter number %d came as %d", i, n)
		}
	}
	if len(all) != writers*each {
		t.Errorf("%d numbers were given", len(all))
	}
}

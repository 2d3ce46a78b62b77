package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// secretly is in every value that the workload writes: no file may have it in the clear.
const secretly = "only in the zone, or encrypted"

func newArena(t *testing.T) *memory.Arena {
	t.Helper()
	arena, err := memory.NewArena(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(arena.Destroy)
	return arena
}

// workload is what is done to a disk that fails: it remembers which values a key
// may have now.
type workload struct {
	s     *local.Stronghold
	arena *memory.Arena
	mu    sync.Mutex
	want  map[string][]string // key → values that are allowed, "" for none
}

// clients are those that a key may be a client's of.
func clients(key string) []string {
	if strings.HasPrefix(key, "moved") {
		return []string{"away", "moved"}
	}
	return []string{"c"}
}

func value(key string, version int) string { return fmt.Sprintf("%s %s %d", secretly, key, version) }

// change writes one value, or removes it, and remembers what came of it.
func (w *workload) change(key, value string) error {
	req := &protocol.Request{Operation: "store.put", Location: &protocol.Location{Client: []byte(clients(key)[0]), Vault: []byte(key)}, Value: []byte(value)}
	if value == "" {
		req.Operation, req.Value = "store.remove", nil
	}
	w.mu.Lock()
	before := w.want[key]
	if before == nil {
		before = []string{""}
	}
	w.mu.Unlock()
	_, err := w.s.Client().Do(context.Background(), req)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.want[key] = []string{value}
	case errors.Is(err, protocol.ErrOutcomeUnknown):
		w.want[key] = append(before[:len(before):len(before)], value)
	default: // nothing was changed
		w.want[key] = before
	}
	return err
}

// run does some of everything. Once it is locked there is nothing more to do.
func (w *workload) run() {
	ctx := context.Background()
	locked := func(err error) bool {
		return errors.Is(err, protocol.ErrLocked) || errors.Is(err, protocol.ErrOutcomeUnknown)
	}
	fold := func() error {
		_, err := w.s.Client().Do(ctx, save())
		return err
	}
	for i := range 4 {
		if locked(w.change(fmt.Sprint("key ", i), value("first", i))) {
			return
		}
	}
	if locked(w.change("key 0", "")) || locked(fold()) || locked(w.change("key 1", value("second", 1))) {
		return
	}
	// A client that is not loaded stays as it is, while the journal has something of it, and while
	// nothing but the file before has it; and then it is another's.
	away := &protocol.Location{Client: []byte("away")}
	ask := func(req *protocol.Request) error {
		_, err := w.s.Client().Do(ctx, req)
		return err
	}
	if locked(w.change("moved 1", value("moved", 1))) || locked(ask(&protocol.Request{Operation: "client.unload", Location: away})) || locked(fold()) ||
		locked(w.change("key 2", value("second", 2))) || locked(fold()) ||
		locked(ask(&protocol.Request{Operation: "client.load", Location: away, Target: &protocol.Location{Client: []byte("moved")}})) {
		return
	}
	var wg sync.WaitGroup
	for c := range 4 { // some share a batch, and some come while a file is folded
		wg.Go(func() {
			for i := range 3 {
				if locked(w.change(fmt.Sprintf("many %d", c), value("many", i))) {
					return
				}
			}
		})
	}
	wg.Go(func() { fold() })
	wg.Wait()
	if !locked(w.change("key 2", value("last", 2))) {
		w.change("key 0", value("again", 0))
	}
}

func save() *protocol.Request { return &protocol.Request{Operation: "snapshot.save"} }

// check opens what is left on a disk: every key has a value that it may have, and
// it goes on from there.
func (w *workload) check(t *testing.T, d *faultDisk, what string) {
	t.Helper()
	w.s.SetDisk(d)
	if err := w.s.Client().Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	w.holds(t, what, func(client, key string) (string, error) {
		resp, err := w.s.Client().Do(t.Context(), &protocol.Request{Operation: "store.get", Location: &protocol.Location{Client: []byte(client), Vault: []byte(key)}})
		if errors.Is(err, protocol.ErrNotFound) {
			err = nil
		}
		return string(resp.GetValue()), err
	})
	if err := put(t.Context(), w.s, "after", []byte("x")); err != nil {
		t.Fatalf("%s: a change after it: %v", what, err)
	}
	if err := w.s.Client().Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// holds fails unless every key has a value that it may have, in one client.
func (w *workload) holds(t *testing.T, what string, get func(client, key string) (string, error)) {
	t.Helper()
	for key, allowed := range w.want {
		var has []string
		for _, client := range clients(key) {
			v, err := get(client, key)
			if err != nil {
				t.Fatalf("%s: %s: %v", what, key, err)
			}
			if v != "" {
				has = append(has, v)
			}
		}
		if len(has) > 1 || !slices.Contains(allowed, strings.Join(has, "")) {
			t.Fatalf("%s: %s is %q, want one of %q", what, key, has, allowed)
		}
	}
}

// read is check in this process, without going on: it takes a hundredth of the time.
func (w *workload) read(t *testing.T, d *faultDisk, path, what string) {
	t.Helper()
	state, err := snapshot.Read(bytes.NewReader(d.names[path].cache), func(h *snapshot.Header) (*snapshot.Keys, error) {
		root, err := h.Open([]byte(passphrase), snapshot.MaxCost)
		if err != nil {
			return nil, err
		}
		return snapshot.KeysOf(w.arena, root)
	}, snapshot.Options{Arena: w.arena})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer state.Close()
	w.holds(t, what, func(client, key string) (string, error) {
		it, err := state.DB.Get(vault.ClientID([]byte(client)), []byte(key))
		if errors.Is(err, vault.ErrNotFound) {
			return "", nil
		} else if err != nil {
			return "", err
		}
		return string(it.Value), nil
	})
	noneInTheClear(t, d, what)
}

func noneInTheClear(t *testing.T, d *faultDisk, what string) {
	t.Helper()
	for _, b := range d.contents() {
		if bytes.Contains(b, []byte(secretly)) || bytes.Contains(b, []byte(passphrase)) {
			t.Fatalf("%s: a file has it in the clear", what)
		}
	}
}

// begin unlocks a snapshot that is older than what an earlier round has written.
func begin(t *testing.T, s *local.Stronghold) {
	t.Helper()
	if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{AcceptOlder: true}); err != nil {
		t.Fatal(err)
	}
}

// TestCrash lets every write, sync, rename and removal of a workload fail, be cut,
// or be the last thing before the power goes. After it the file has the state
// before or after each change, and the one after it for each that was acknowledged.
func TestCrash(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	path := filepath.Join(cfg.Home, "vault.stronghold")
	empty := emptySnapshot(t)
	rnd := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	arena := newArena(t)
	once := func(f fault) (*faultDisk, *workload) {
		s.SetKeep(rnd.IntN(3))
		d := newFaultDisk(path, empty)
		s.SetDisk(d)
		s.ForgetDeaths()
		begin(t, s)
		d.mu.Lock()
		d.ops, d.fault = 0, f
		d.mu.Unlock()
		w := &workload{s: s, arena: arena, want: map[string][]string{}}
		w.run()
		if err := s.Client().Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d, w
	}
	d, w := once(fault{})
	total := d.ops
	w.check(t, d, "without a fault")
	points := rounds(300, 10_000)
	if raceDetector {
		points = 10
	}
	for point := 0; point < points; {
		f := fault{at: 1 + rnd.IntN(total), kind: faultKind(rnd.IntN(int(faultKinds)))}
		d, w := once(f)
		what := fmt.Sprintf("%v at operation %d of %d", f.kind, f.at, total)
		for kind := range imageKinds {
			w.read(t, d.image(kind, rnd), path, fmt.Sprintf("%s, image %d", what, kind))
			point++
		}
		noneInTheClear(t, d, what)
		d.killed()
		switch kind := rnd.IntN(imageKinds); rnd.IntN(5) {
		case 0: // the power went
			w.check(t, d.image(kind, rnd), what)
		case 1: // the process goes on, or another one comes, and then the power goes
			w.check(t, d, what+", opened again")
			for kind := range imageKinds {
				w.read(t, d.image(kind, rnd), path, fmt.Sprintf("%s, opened again, and then image %d", what, kind))
			}
		}
	}
}

// A sync that fails says only once that what was written is not on the disk. What
// waits for it is not known to have happened; the node locks itself, and when it is
// opened again it writes anew what it builds on.
func TestFailedSync(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	path := filepath.Join(cfg.Home, "vault.stronghold")
	rnd := rand.New(rand.NewPCG(1, 2))
	arena := newArena(t)
	for _, later := range []bool{false, true} { // whether cutting the file fails too
		d := newFaultDisk(path, emptySnapshot(t))
		s.SetDisk(d)
		s.ForgetDeaths()
		begin(t, s)
		w := &workload{s: s, arena: arena, want: map[string][]string{}}
		if err := w.change("key", value("before", 0)); err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		d.ops, d.fault = 0, fault{at: 2, kind: failOnce} // the sync after the write
		if later {
			d.fault.kind = failAlways
		}
		d.mu.Unlock()
		if err := w.change("key", value("lost", 0)); !errors.Is(err, protocol.ErrOutcomeUnknown) {
			t.Errorf("a change whose sync failed: %v", err)
		}
		until(t, "it locks itself", func() bool {
			_, err := get(context.Background(), s, "key")
			return errors.Is(err, protocol.ErrLocked)
		})
		d.killed()
		s.ForgetDeaths()
		until(t, "it can be unlocked", func() bool { return s.Client().Unlock(t.Context(), []byte(passphrase)) == nil })
		now, err := get(t.Context(), s, "key")
		if err != nil {
			t.Fatal(err)
		}
		if lost := string(now) == value("lost", 0); lost != later {
			t.Errorf("cut too %v: the key is %q", later, now)
		}
		w.want["key"] = []string{string(now)} // what was told stays
		for kind := range imageKinds {
			w.read(t, d.image(kind, rnd), path, fmt.Sprintf("image %d", kind))
		}
		if err := s.Client().Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

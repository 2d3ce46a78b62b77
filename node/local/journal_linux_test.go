package local_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

var long = flag.Bool("long", false, "run the long variants of tests")

// rounds is n in the long run, else few.
func rounds(few, n int) int {
	if *long {
		return n
	}
	return few
}

// put writes a store value.
func put(ctx context.Context, s *local.Stronghold, key string, value []byte) error {
	_, err := s.Client().Do(ctx, &protocol.Request{Operation: "store.put", Location: &protocol.Location{Client: []byte("c"), Vault: []byte(key)}, Value: value})
	return err
}

func get(ctx context.Context, s *local.Stronghold, key string) ([]byte, error) {
	resp, err := s.Client().Do(ctx, &protocol.Request{Operation: "store.get", Location: &protocol.Location{Client: []byte("c"), Vault: []byte(key)}})
	return resp.GetValue(), err
}

// storm makes changes from many goroutines until each has met an error, and
// returns which keys were acknowledged.
func storm(t testing.TB, s *local.Stronghold, stop func() bool) (acknowledged *sync.Map, errs chan error, wait func()) {
	t.Helper()
	const callers = 16
	acknowledged, errs = new(sync.Map), make(chan error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := 0; !stop(); i++ {
				key := fmt.Sprintf("%d-%d", c, i)
				if err := put(context.Background(), s, key, []byte(key)); err != nil {
					errs <- err
					return
				}
				acknowledged.Store(key, true)
			}
		})
	}
	return acknowledged, errs, func() { wg.Wait(); close(errs) }
}

// holds fails unless everything that was acknowledged is there.
func holds(t testing.TB, s *local.Stronghold, acknowledged *sync.Map) (n int) {
	t.Helper()
	acknowledged.Range(func(key, _ any) bool {
		n++
		if v, err := get(context.Background(), s, key.(string)); err != nil || string(v) != key {
			t.Errorf("%s was acknowledged and is %q, %v", key, v, err)
		}
		return !t.Failed()
	})
	return n
}

func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain: " + what)
		}
	}
}

// folds saves the snapshot again and again until it is locked.
func folds(s *local.Stronghold) (done chan bool) {
	done = make(chan bool)
	go func() {
		defer close(done)
		for {
			if _, err := s.Client().Do(context.Background(), &protocol.Request{Operation: "snapshot.save"}); err != nil {
				return
			}
		}
	}()
	return done
}

func count(m *sync.Map) (n int) {
	m.Range(func(_, _ any) bool { n++; return true })
	return n
}

// Changes that come together share a write.
func TestGroupCommit(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	const callers, each = 32, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if err := put(t.Context(), s, fmt.Sprintf("%d-%d", c, i), []byte("value")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.Syncs(); n > callers*each/2 {
		t.Errorf("%d changes took %d fsyncs", callers*each, n)
	} else {
		t.Logf("%d changes took %d fsyncs", callers*each, n)
	}
}

// Whatever ends the node while changes are under way: those that were
// acknowledged are there.
func TestEndWhileChanging(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *local.Stronghold) []protocol.Status{
		"lock": func(t *testing.T, s *local.Stronghold) []protocol.Status {
			if err := s.Client().Lock(context.Background()); err != nil {
				t.Error(err)
			}
			return []protocol.Status{protocol.Status_LOCKED}
		},
		"close": func(t *testing.T, s *local.Stronghold) []protocol.Status {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			return []protocol.Status{protocol.Status_LOCKED}
		},
		"killed zone": func(t *testing.T, s *local.Stronghold) []protocol.Status {
			syscall.Kill(pid(t, s), syscall.SIGKILL)
			return []protocol.Status{protocol.Status_LOCKED}
		},
		"killed zone during a fold": func(t *testing.T, s *local.Stronghold) []protocol.Status {
			done := folds(s)
			until(t, "some more changes", func() bool { return s.Syncs() > 10+rand.Int64N(30) }) // anywhere
			syscall.Kill(pid(t, s), syscall.SIGKILL)
			<-done
			return []protocol.Status{protocol.Status_LOCKED}
		},
		"lock during a fold": func(t *testing.T, s *local.Stronghold) []protocol.Status {
			done := folds(s)
			until(t, "some more changes", func() bool { return s.Syncs() > 10+rand.Int64N(30) }) // anywhere
			if err := s.Client().Lock(context.Background()); err != nil {
				t.Error(err)
			}
			<-done
			return []protocol.Status{protocol.Status_LOCKED}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range rounds(2, 100) {
				cfg := quickHome(t)
				s := open(t, cfg)
				unlock(t, s)
				acknowledged, errs, wait := storm(t, s, func() bool { return false })
				until(t, "some changes", func() bool { return count(acknowledged) > 50 })
				var before int
				if name != "close" {
					before = pid(t, s)
				}
				allowed := end(t, s)
				wait()
				for err := range errs {
					e := new(protocol.Error)
					if !errors.As(err, &e) || e.Status != allowed[0] {
						t.Errorf("a pending change: %v", err)
					}
				}
				if name != "close" {
					// It is up, locked, and can be unlocked again.
					until(t, "another zone", func() bool { now := pid(t, s); return now != 0 && now != before })
					if _, err := get(t.Context(), s, "0-0"); !errors.Is(err, protocol.ErrLocked) {
						t.Errorf("after the end: %v", err)
					}
					unlock(t, s)
					holds(t, s, acknowledged)
					if err := put(t.Context(), s, "after", []byte("x")); err != nil {
						t.Error(err)
					}
				}
				s.Close()
				s = open(t, cfg)
				unlock(t, s)
				if n := holds(t, s, acknowledged); n < 50 {
					t.Errorf("%d changes", n)
				}
				if left, _ := filepath.Glob(cfg.Home + "/*unfinished*"); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
				s.Close()
			}
		})
	}
}

// pid is the zone's process.
func pid(t testing.TB, s *local.Stronghold) int {
	t.Helper()
	st, err := s.Client().Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Zone.GetPid())
}

// A zone that ends is replaced, and the status says that it has ended. Its key
// is another: nothing sealed before opens after.
func TestKilledZone(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	c := s.Client()
	public, err := c.GenerateKey(t.Context(), loc(t, "c/v/r"), protocol.Ed25519, false)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		before, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(int(before.Zone.Pid), syscall.SIGKILL)
		var after *protocol.NodeStatus
		until(t, "another zone", func() bool {
			after, err = c.Status(context.Background())
			return err == nil && after.Zone.GetPid() != 0 && after.Zone.Pid != before.Zone.Pid && after.Zone.PublicKey != nil
		})
		if !after.Locked || after.Zone.Ended == "" || bytes.Equal(after.Zone.PublicKey, before.Zone.PublicKey) {
			t.Errorf("the status after it: %v", after)
		}
		unlock(t, s)
		if st, err := c.Status(t.Context()); err != nil || st.Zone.Ended != "" || st.Locked {
			t.Errorf("after unlock: %v %v", st, err)
		}
		sig, err := c.Sign(t.Context(), loc(t, "c/v/r"), []byte("m"))
		if err != nil || !ed25519.Verify(public, []byte("m"), sig) {
			t.Errorf("after unlock: %v", err)
		}
	}
}

// stopped says whether every thread of a process has stopped.
func stopped(t testing.TB, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("the threads of %d: %v", pid, err)
	}
	for _, thread := range threads {
		b, err := os.ReadFile(thread)
		if err == nil && !bytes.Contains(b, []byte(") T ")) {
			return false
		}
	}
	return true
}

// A zone that is stuck does not keep a lock waiting, nor a status.
func TestStuckZone(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	zone := pid(t, s)
	if err := put(t.Context(), s, "before", []byte("x")); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(zone, syscall.SIGSTOP)
	until(t, "the zone stands still", func() bool { return stopped(t, zone) }) // each thread when it next runs
	answer := make(chan error, 1)
	var asked atomic.Bool
	go func() {
		asked.Store(true)
		answer <- put(context.Background(), s, "pending", []byte("x"))
	}()
	until(t, "a pending change", asked.Load)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := put(ctx, s, "impatient", []byte("x")); !errors.Is(err, protocol.ErrOutcomeUnknown) {
		t.Errorf("a change whose asker left: %v", err)
	}
	if st, err := s.Client().Status(t.Context()); err != nil || st.Locked || st.Zone.PublicKey != nil {
		t.Errorf("the status of a stuck zone: %v, %v", st, err)
	}
	start := time.Now()
	if err := s.Client().Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("the lock took %v", d)
	}
	if err := <-answer; !errors.Is(err, protocol.ErrLocked) {
		t.Errorf("the pending change: %v", err)
	}
	unlock(t, s)
	if _, err := get(t.Context(), s, "before"); err != nil {
		t.Error(err)
	}
	if _, err := get(t.Context(), s, "pending"); !errors.Is(err, protocol.ErrNotFound) {
		t.Errorf("the change that was refused: %v", err)
	}
}

// An unlock that is given up leaves it locked, and stands in nobody's way.
func TestAbandonedUnlock(t *testing.T) {
	cfg := newHome(t) // with a hash that takes its time
	s := open(t, cfg)
	for _, after := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		err := s.Client().Unlock(ctx, []byte(passphrase))
		cancel()
		if err == nil {
			t.Skip("the password hash was faster than the test")
		}
		if _, err := get(t.Context(), s, "key"); !errors.Is(err, protocol.ErrLocked) {
			t.Errorf("given up after %v: %v", after, err)
		}
	}
	unlock(t, s)
	if err := put(t.Context(), s, "key", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrExists) {
		t.Errorf("unlocked twice: %v", err)
	}
}

// A file whose end was cut has the state before, and the status says so.
func TestCutFile(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	unlock(t, s)
	path := filepath.Join(cfg.Home, "vault.stronghold")
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	for _, key := range []string{"1", "2"} {
		if err := put(t.Context(), s, key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s.Close() // there is no room in it then
	whole := size()
	s = open(t, cfg)
	unlock(t, s)
	if err := put(t.Context(), s, "3", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	cut := size() - 1
	for ; cut > whole; cut -= 7 {
		if err := os.Truncate(path, cut); err != nil {
			t.Fatal(err)
		}
		s = open(t, cfg)
		if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrOlder) {
			t.Errorf("without a change that was known: %v", err)
		}
		if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{AcceptOlder: true}); err != nil {
			t.Fatal(err)
		}
		if st, err := s.Client().Status(t.Context()); err != nil || !st.Recovered {
			t.Errorf("the status: %v %v", st, err)
		}
		if size() != whole {
			t.Errorf("%d bytes are left, want %d", size(), whole)
		}
		if _, err := get(t.Context(), s, "2"); err != nil {
			t.Error(err)
		}
		if _, err := get(t.Context(), s, "3"); !errors.Is(err, protocol.ErrNotFound) {
			t.Error(err)
		}
		if err := put(t.Context(), s, "3", bytes.Repeat([]byte("x"), 7)); err != nil {
			t.Error(err)
		}
		s.Close()
		s = open(t, cfg)
		unlock(t, s)
		if st, err := s.Client().Status(t.Context()); err != nil || st.Recovered {
			t.Errorf("the status after all is well: %v %v", st, err)
		}
		if _, err := get(t.Context(), s, "3"); err != nil {
			t.Error(err)
		}
		if !*long {
			cut -= 40
		}
		s.Close()
	}
	// Damage is not a cut.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte{0xfe}, whole-1)
	f.Close()
	before := size()
	s = open(t, cfg)
	if err := s.Client().Unlock(t.Context(), []byte(passphrase)); !errors.Is(err, protocol.ErrDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
	if size() != before {
		t.Error("a failed unlock changed the file")
	}
}

// A journal that has grown is folded while changes go on, and at the next unlock; a
// save folds at once.
func TestFold(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	unlock(t, s)
	path := filepath.Join(cfg.Home, "vault.stronghold")
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	for i := range 100 {
		if err := put(t.Context(), s, "key", bytes.Repeat([]byte{byte(i % 10)}, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a fold", func() bool { return size() < 2<<20 }) // of 6.4 MB; a journal of 1 MiB stays, and there is room
	check := func() {
		t.Helper()
		if v, err := get(t.Context(), s, "key"); err != nil || len(v) != 64<<10 || v[0] != 9 {
			t.Errorf("%d bytes, %v", len(v), err)
		}
		if v, err := get(t.Context(), s, "more"); err != nil || string(v) != "more" {
			t.Errorf("%q, %v", v, err)
		}
	}
	if err := put(t.Context(), s, "more", []byte("more")); err != nil {
		t.Fatal(err)
	}
	check()
	if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "snapshot.save"}); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), s, "more", []byte("more")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if left := files(t, cfg.Home); len(left) != 4 { // with state.db
		t.Errorf("the home holds %q", left)
	}
	s = open(t, cfg)
	unlock(t, s)
	check()
}

// A full disk refuses changes and keeps what was there; with room again it goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	writeHome(t, home)
	cfg := local.Config{Home: home, Workers: 2}
	s := open(t, cfg)
	t.Cleanup(func() { s.Close() }) // before the disk goes
	unlock(t, s)
	if err := put(t.Context(), s, "kept", []byte("x")); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	acknowledged, errs, wait := storm(t, s, func() bool { return false })
	until(t, "some changes", func() bool { return count(acknowledged) > 20 })
	fillDisk(t, ballast)
	wait()
	for err := range errs {
		if !errors.Is(err, protocol.ErrNoSpace) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	fillDisk(t, ballast+"2")
	if err := put(t.Context(), s, "large", make([]byte, 64<<10)); !errors.Is(err, protocol.ErrNoSpace) {
		t.Errorf("on a full disk: %v", err)
	}
	if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "snapshot.save"}); !errors.Is(err, protocol.ErrNoSpace) {
		t.Errorf("a save on a full disk: %v", err)
	}
	if _, err := get(t.Context(), s, "large"); !errors.Is(err, protocol.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
	if _, err := s.Client().Do(t.Context(), &protocol.Request{Operation: "policy.apply", Text: allowLaptop}); err == nil {
		t.Error("a policy was applied on a full disk")
	}
	holds(t, s, acknowledged)
	if err := errors.Join(os.Remove(ballast), os.Remove(ballast+"2")); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), s, "large", make([]byte, 64<<10)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	s.Close()
	s = open(t, cfg)
	unlock(t, s)
	holds(t, s, acknowledged)
	for _, key := range []string{"kept", "large"} {
		if _, err := get(t.Context(), s, key); err != nil {
			t.Error(key, err)
		}
	}
	if st, err := s.Client().Status(t.Context()); err != nil || st.Recovered {
		t.Errorf("it was recovered: %v %v", st, err)
	}
}

// fillDisk writes until there is no room left, to the last byte.
func fillDisk(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// A zone that is killed while it opens the snapshot leaves it locked, and the
// next one opens it.
func TestKilledDuringUnlock(t *testing.T) {
	cfg := newHome(t) // with a hash that takes its time
	s := open(t, cfg)
	for range rounds(3, 50) {
		s.ForgetDeaths()
		before := pid(t, s)
		unlocked := make(chan error, 1)
		go func() { unlocked <- s.Client().Unlock(context.Background(), []byte(passphrase)) }()
		for range rand.IntN(5) { // anywhere
			s.Client().Status(context.Background())
		}
		syscall.Kill(before, syscall.SIGKILL)
		if err := <-unlocked; err != nil && !errors.Is(err, protocol.ErrUnavailable) && !errors.Is(err, protocol.ErrLocked) {
			t.Errorf("an unlock whose zone was killed: %v", err)
		}
		until(t, "another zone", func() bool { now := pid(t, s); return now != 0 && now != before })
		if _, err := get(t.Context(), s, "key"); !errors.Is(err, protocol.ErrLocked) {
			t.Errorf("after it: %v", err)
		}
	}
	unlock(t, s)
}

// A disk that fails for good: what was asked for is not known to have happened,
// and the node locks itself rather than go on with a state that no file has.
func TestBrokenDisk(t *testing.T) {
	s := open(t, quickHome(t))
	unlock(t, s)
	if err := put(t.Context(), s, "before", []byte("x")); err != nil {
		t.Fatal(err)
	}
	before := pid(t, s)
	s.BreakFile()
	if err := put(t.Context(), s, "after", []byte("x")); !errors.Is(err, protocol.ErrOutcomeUnknown) {
		t.Errorf("on a broken disk: %v", err)
	}
	until(t, "another zone", func() bool { now := pid(t, s); return now != 0 && now != before })
	if _, err := get(t.Context(), s, "before"); !errors.Is(err, protocol.ErrLocked) {
		t.Errorf("after it: %v", err)
	}
	unlock(t, s)
	if _, err := get(t.Context(), s, "before"); err != nil {
		t.Error(err)
	}
	if _, err := get(t.Context(), s, "after"); !errors.Is(err, protocol.ErrNotFound) {
		t.Errorf("what was not written: %v", err)
	}
}

package processor

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mine has the test on a thread of its own, and returns what that may use.
func mine(t *testing.T) unix.CPUSet {
	t.Helper()
	runtime.LockOSThread() // and it ends with the test: what is done to it stays
	before := used(t)
	if before.Count() < 2 {
		t.Skip("needs two processors")
	}
	return before
}

func used(t *testing.T) (s unix.CPUSet) {
	t.Helper()
	if err := unix.SchedGetaffinity(0, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func theFirst(t *testing.T, of unix.CPUSet) (n int, without unix.CPUSet) {
	t.Helper()
	for !of.IsSet(n) {
		n++
	}
	of.Clear(n)
	return n, of
}

// TestKeep: a goroutine stays where it is told to, and its thread has back what it had.
func TestKeep(t *testing.T) {
	before := mine(t)
	first, others := theFirst(t, before)
	second, _ := theFirst(t, others)
	var k Keeper
	for _, n := range []int{first, first, second, None, second, first, None, None} {
		k.Keep(n)
		want := before
		if n != None {
			want = only(n).cpus
			if here() != n {
				t.Errorf("on %d, to be kept on %d", here(), n)
			}
		}
		if used(t) != want {
			t.Fatalf("kept on %d, it may use %v", n, used(t))
		}
	}
}

// TestKeepNowhere: who may not be somewhere, or is somewhere already, is left alone.
func TestKeepNowhere(t *testing.T) {
	before := mine(t)
	first, others := theFirst(t, before)
	var k Keeper
	for _, n := range []int{1023, 1 << 20, int(^uint32(0)), -5} {
		k.Keep(n)
		if used(t) != before {
			t.Errorf("%d: it may use %v", n, used(t))
		}
	}
	one := only(first).cpus
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	second, _ := theFirst(t, others)
	for _, n := range []int{second, first, None} {
		k.Keep(n)
		if used(t) != one {
			t.Errorf("%d, by one who is kept by another: it may use %v", n, used(t))
		}
	}
}

// TestKeepWithin: who may not ask what he may use is told.
func TestKeepWithin(t *testing.T) {
	before := mine(t)
	first, others := theFirst(t, before)
	k := Keeper{Within: Allowed()}
	if k.Within == nil || k.Within.cpus != before {
		t.Fatalf("allowed: %v", k.Within)
	}
	k.Keep(first)
	if used(t) != only(first).cpus {
		t.Error("not kept")
	}
	k.Keep(None)
	if used(t) != before {
		t.Error("still kept")
	}
	k.Within = &Set{others}
	if k.Keep(first); used(t) != before {
		t.Error("kept where it may not be")
	}
}

// TestKeptThreadsHaveNoChildren: a thread that the runtime starts meanwhile may use all processors.
func TestKeptThreadsHaveNoChildren(t *testing.T) {
	before := mine(t)
	first, _ := theFirst(t, before)
	var k Keeper
	k.Keep(first)
	defer k.Keep(None)
	const threads = 20
	var sets, release = make(chan unix.CPUSet), make(chan struct{})
	for range threads {
		go func() {
			runtime.LockOSThread() // each takes one
			defer runtime.UnlockOSThread()
			var s unix.CPUSet
			unix.SchedGetaffinity(0, &s)
			sets <- s
			<-release
		}()
	}
	for range threads {
		if s := <-sets; s != before {
			t.Errorf("a thread that may use %v", s)
		}
	}
	close(release)
}

// TestOwnThread: who stays on one processor anyway is left alone, and not looked at again for each call; who does not
// is lent one for each.
func TestOwnThread(t *testing.T) {
	before := mine(t)
	first, _ := theFirst(t, before)
	for _, own := range []bool{false, true} {
		want := before
		if own {
			want = only(first).cpus
		}
		if err := unix.SchedSetaffinity(0, &want); err != nil {
			t.Fatal(err)
		}
		var c Choice
		var k Keeper
		now := time.Now()
		kept := 0
		for range 2 * enough {
			if n := c.Next(now); n != None {
				c.Keep(&k)
				kept++
				if at := only(n).cpus; used(t) != at || own && n != first {
					t.Fatalf("own %t: waits on %d, may use %v", own, n, used(t))
				}
				k.Keep(None)
			}
			if used(t) != want {
				t.Fatalf("own %t: may use %v after a call", own, used(t))
			}
		}
		if kept == 0 || c.stays != own {
			t.Errorf("own %t: waited on a processor %d times, and is taken to stay there: %t", own, kept, c.stays)
		}
		if n := c.Next(now.Add(lasts + 1)); n != None || c.stays {
			t.Errorf("own %t: after a while it waits on %d, taken to stay there: %t", own, n, c.stays)
		}
		for range enough {
			c.Next(now)
		}
		c.Keep(&k)
		k.Keep(None)
		if c.Break(); c.stays {
			t.Error("after a break it is taken to stay")
		}
	}
}

// Package memory keeps plaintext secrets: an [Arena] is a piece of memory that is locked against swap, hidden from
// other processes where the system can, and fenced by pages that cannot be touched; a [Secret] is some bytes of it,
// lent to a function and wiped when given back.
//
// The model for a caller: map one arena at start, take secrets out of it while working, destroy each as soon as it is
// not needed. Nothing in an arena grows, and taking, lending and giving back make no system call, so all of it works
// behind a syscall filter. What a function copies out of the bytes it is lent is its own to wipe: run it inside
// [Erase], which overwrites the stack and the registers it has used, and keep its variables off the heap.
//
// The bytes do not lie on the Go heap. Code that takes weak pointers to its input cannot be given them: Go 1.26's
// crypto/ed25519 dies of it ("getWeakHandle on invalid pointer").
package memory

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrFull is returned by [Arena.New] when no free piece of the arena is large enough.
var ErrFull = errors.New("memory: the arena is full")

// ErrDestroyed is returned for a use of a secret or an arena that was destroyed.
var ErrDestroyed = errors.New("memory: destroyed")

// A LockError is returned by [NewArena] when the system gives no memory that is sure not to be swapped out.
// The usual cause is RLIMIT_MEMLOCK.
type LockError struct {
	Size int   // bytes asked for, whole pages
	Err  error // what the last attempt returned
}

func (e *LockError) Error() string {
	return fmt.Sprintf("memory: cannot lock %d bytes: %v", e.Size, e.Err)
}

func (e *LockError) Unwrap() error { return e.Err }

// granule is what every secret is aligned to and rounded up to, in bytes: a cache line, so that two secrets that are
// used on two cores do not fight over one.
const granule = 64

// An Arena is a fixed piece of guarded memory. Its methods are safe for concurrent use.
type Arena struct {
	m *mapping // a pointer, so that nothing that prints an Arena shows its bytes

	mu     sync.Mutex
	idle   sync.Cond // a lent secret came back after Destroy began
	free   []span    // by offset, neighbours merged; all of it is zero
	live   map[*slot]struct{}
	closed bool
}

// A span is n bytes of the arena from off, both multiples of granule.
type span struct{ off, n int }

// NewArena maps an arena of at least size bytes: memfd_secret(2) where the kernel has it, which not even root reads
// through /proc, else pages locked with mlock(2) or VirtualLock; an untouchable page before and after in either case.
// The pages are touched, so that nothing is left to fail later. The error is a [*LockError] where memory could be had
// but not locked.
func NewArena(size int) (*Arena, error) {
	if size <= 0 {
		return nil, fmt.Errorf("memory: an arena of %d bytes", size)
	}
	page := pageSize()
	size = (size + page - 1) / page * page
	m, err := mapPages(size, page)
	if err != nil {
		return nil, err
	}
	a := &Arena{
		m:    &m,
		free: []span{{0, size}},
		live: make(map[*slot]struct{}),
	}
	a.idle.L = &a.mu
	return a, nil
}

// A mapping is what the system gave for an arena.
type mapping struct {
	pages []byte // readable and writable, zero, between the guard pages; nil once unmapped
	kind  string
	unmap func() error
}

// Kind says what the arena is made of: "memfd_secret", "locked pages".
func (a *Arena) Kind() string { return a.m.kind }

// Format prints what the arena is made of, whatever the verb.
func (a *Arena) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[arena of %s]", a.m.kind) }

// Size is the number of bytes of the arena. A secret takes up a multiple of 64 of them.
func (a *Arena) Size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.m.pages)
}

// New takes n zeroed bytes out of the arena, or fails with [ErrFull] or [ErrDestroyed]. It makes no system call. The
// secret keeps its place until its Destroy, also when nothing refers to it any more.
func (a *Arena) New(n int) (*Secret, error) {
	if n < 0 {
		panic("memory: internal error: a secret of negative length")
	}
	need := max((n+granule-1)/granule*granule, granule)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, ErrDestroyed
	}
	for i, f := range a.free {
		if f.n < need {
			continue
		}
		if f.n == need {
			a.free = slices.Delete(a.free, i, i+1)
		} else {
			a.free[i] = span{f.off + need, f.n - need}
		}
		s := &slot{arena: a, span: span{f.off, need}, length: n}
		s.handle.p = s
		a.live[s] = struct{}{}
		return &s.handle, nil
	}
	return nil, ErrFull
}

// release wipes the bytes of s and makes them free again.
func (a *Arena) release(s *slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	Wipe(s.bytes())
	delete(a.live, s)
	i, found := slices.BinarySearchFunc(a.free, s.span.off, func(f span, off int) int { return f.off - off })
	if found {
		panic("memory: internal error: a secret was given back twice")
	}
	a.free = slices.Insert(a.free, i, s.span)
	if i+1 < len(a.free) && a.free[i].off+a.free[i].n == a.free[i+1].off {
		a.free[i].n += a.free[i+1].n
		a.free = slices.Delete(a.free, i+1, i+2)
	}
	if i > 0 && a.free[i-1].off+a.free[i-1].n == a.free[i].off {
		a.free[i-1].n += a.free[i].n
		a.free = slices.Delete(a.free, i, i+1)
	}
	a.idle.Broadcast()
}

// Destroy destroys every secret of the arena, waits until those that are lent have come back, wipes all of it and
// unmaps it. It must not be called from within [Secret.Use]. Further calls do nothing.
func (a *Arena) Destroy() {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	a.closed = true
	live := make([]*slot, 0, len(a.live))
	for s := range a.live {
		live = append(live, s)
	}
	a.mu.Unlock()
	for _, s := range live {
		s.handle.Destroy()
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.live) > 0 {
		a.idle.Wait()
	}
	Wipe(a.m.pages)
	a.m.pages, a.free = nil, nil
	if err := a.m.unmap(); err != nil {
		panic("memory: internal error: unmapping the arena: " + err.Error())
	}
}

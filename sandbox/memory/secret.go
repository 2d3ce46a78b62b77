package memory

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// A Secret is the one type that holds plaintext: some bytes of an [Arena]. It cannot be compared, prints as [secret]
// with every verb and refuses to be marshalled. Its methods are safe for concurrent use; whether two functions may
// write the bytes at once is the business of the caller.
type Secret struct {
	_ [0]func() // not comparable

	// A pointer, so that a copy of the Secret is the same secret, and so that a printer which looks into the
	// unexported fields of something around it finds an address and no bytes.
	p *slot
}

// A slot is the state of one secret.
type slot struct {
	handle Secret
	arena  *Arena
	span   span
	length int

	// users counts the functions that the bytes are lent to, plus dead once Destroy was called. Whoever takes it
	// to exactly dead wipes.
	users atomic.Int64
}

const dead = 1 << 32

// bytes is the secret itself. No field holds it: fmt, told to print the unexported field of something with a verb that
// does not fit, follows one pointer and prints the slices it finds there.
func (p *slot) bytes() []byte {
	return p.arena.m.pages[p.span.off : p.span.off+p.length : p.span.off+p.length]
}

// Use lends the bytes to f and returns what f returns, or [ErrDestroyed] without a call. The slice must not be kept
// nor grown: after f it may hold another's secret.
func (s Secret) Use(f func([]byte) error) error {
	if s.p == nil {
		return ErrDestroyed
	}
	if s.p.users.Add(1) > dead {
		s.p.leave()
		return ErrDestroyed
	}
	defer s.p.leave()
	return f(s.p.bytes())
}

func (p *slot) leave() {
	if p.users.Add(-1) == dead {
		p.wipe()
	}
}

// wipe gives the bytes back. A late Use that comes and goes at the same time would count down to dead once more, so
// the state moves on to gone first, which no counting comes back from.
func (p *slot) wipe() {
	if p.users.CompareAndSwap(dead, gone) {
		p.arena.release(p)
	}
}

// gone is the count of a secret whose bytes are given back.
const gone = 2 * dead

// Len is the number of bytes, also of a destroyed secret.
func (s Secret) Len() int {
	if s.p == nil {
		return 0
	}
	return s.p.length
}

// Destroy wipes the bytes and gives their place back to the arena. If they are lent out at the time, that happens when
// the last borrower returns; a new Use fails at once. Further calls do nothing.
func (s Secret) Destroy() {
	if s.p == nil {
		return
	}
	for {
		n := s.p.users.Load()
		if n >= dead {
			return
		}
		if s.p.users.CompareAndSwap(n, n+dead) {
			break
		}
	}
	if s.p.users.Load() == dead {
		s.p.wipe()
	}
}

// Format prints [secret], whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// String returns [secret].
func (Secret) String() string { return "[secret]" }

// GoString returns [secret].
func (Secret) GoString() string { return "[secret]" }

var errMarshal = errors.New("memory: a secret is not to be marshalled")

// MarshalJSON fails.
func (Secret) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// MarshalText fails.
func (Secret) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary fails.
func (Secret) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// GobEncode fails.
func (Secret) GobEncode() ([]byte, error) { return nil, errMarshal }

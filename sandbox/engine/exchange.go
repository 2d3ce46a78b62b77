package engine

import (
	"errors"
	"io"
	"sync"

	"github.com/stronghold-go/stronghold/protocol"
)

// exchange is work that needs the node's file: it reads from it anywhere, and it may
// write a new one. It runs by itself, and each request of the node takes it a turn
// further: the answer says what it wants of the file, or has a part of the new one.
type exchange struct {
	turns chan turn // closed behind the last one
	parts chan part
	quit  chan struct{}
	stop  sync.Once
	err   error  // of the work; set before the last turn
	wants uint64 // bytes, with the node's next request

	out []byte // of the new file, not given out yet

	at     int64  // what is read next
	have   []byte // of the file
	haveAt int64  // where that begins
	size   int64  // of the file; -1 while its end was not seen
	ahead  int64  // how much is wanted at once
	expect int64  // how much is going to be read from here on, if that is known
	read   int64  // how much was brought
}

// turn is what the node is to do before its next request, in this order: to write, to
// copy from the present file, to bring what is wanted of it.
type turn struct {
	out            []byte
	copied, wanted *protocol.Range
	last           bool
}

// part is what the node brings.
type part struct {
	b    []byte
	ends bool // the file ends with it
}

// PartSize is how many bytes of a new file pass the pipe at once, at most; openSize of
// one that is read, since those lie in memory several times on their way.
const (
	PartSize = 4 << 20
	openSize = 1 << 20
	seekSize = 16 << 10 // what is wanted first, somewhere else
)

var errGivenUp = errors.New("engine: given up")

// converse begins the work. have is the file's beginning if the node has brought it.
func converse(have part, work func(*exchange) error) *exchange {
	x := &exchange{turns: make(chan turn), parts: make(chan part), quit: make(chan struct{}), have: have.b, size: -1, ahead: openSize}
	if have.ends {
		x.size = int64(len(have.b))
	}
	go func() {
		defer close(x.turns)
		x.err = work(x)
		x.give(turn{last: true})
	}()
	return x
}

// next takes the work a turn further; its error is the work's.
func (x *exchange) next() (turn, error) {
	s, ok := <-x.turns
	if !ok || s.last {
		x.close()
		return turn{out: s.out, last: true}, x.err
	}
	x.wants = s.wanted.GetBytes()
	return s, nil
}

// goOn is next, with what was wanted if something was; the file ends where that is shorter.
func (x *exchange) goOn(b []byte) (turn, error) {
	if x.wants > 0 {
		x.bring(part{b, uint64(len(b)) < x.wants})
	}
	return x.next()
}

// bring brings what was wanted.
func (x *exchange) bring(p part) {
	select {
	case x.parts <- p:
	case <-x.quit:
	}
}

// close gives the work up, if it is not done, and waits for its end.
func (x *exchange) close() {
	x.stop.Do(func() { close(x.quit) })
	for range x.turns {
	}
}

// give hands a turn to the node, with what was written until then.
func (x *exchange) give(s turn) error {
	s.out, x.out = x.out, nil
	select {
	case <-x.quit:
		return errGivenUp
	default:
	}
	select {
	case x.turns <- s:
		return nil
	case <-x.quit:
		return errGivenUp
	}
}

// Write appends to the new file.
func (x *exchange) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), PartSize-len(x.out))
		x.out = append(x.out, p[:k]...)
		p, n = p[k:], n+k
		if len(x.out) == PartSize {
			if err := x.give(turn{}); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Copy has a part of the present file follow in the new one.
func (x *exchange) Copy(at, size int64) error {
	return x.give(turn{copied: &protocol.Range{At: uint64(at), Bytes: uint64(size)}})
}

// Read reads from the present file.
func (x *exchange) Read(p []byte) (int, error) {
	for {
		if i := x.at - x.haveAt; i >= 0 && i < int64(len(x.have)) {
			n := copy(p, x.have[i:])
			x.at += int64(n)
			return n, nil
		}
		if x.size >= 0 && x.at >= x.size {
			return 0, io.EOF
		}
		if x.at != x.haveAt+int64(len(x.have)) {
			x.ahead = seekSize
		}
		x.ahead, x.expect = min(max(x.ahead, x.expect), openSize), 0
		if err := x.give(turn{wanted: &protocol.Range{At: uint64(x.at), Bytes: uint64(x.ahead)}}); err != nil {
			return 0, err
		}
		x.ahead = min(4*x.ahead, openSize)
		select {
		case p := <-x.parts:
			x.have, x.haveAt = p.b, x.at
			x.read += int64(len(p.b))
			if p.ends {
				x.size = x.at + int64(len(p.b))
			}
		case <-x.quit:
			return 0, errGivenUp
		}
	}
}

// Seek goes to another place, of which only io.SeekStart is known.
func (x *exchange) Seek(to int64, whence int) (int64, error) {
	if whence != io.SeekStart || to < 0 {
		return 0, errors.New("engine: internal error: a seek from elsewhere")
	}
	x.at, x.expect = to, 0
	return to, nil
}

// Expect says how much is going to be read from here on, so that it is wanted at once.
func (x *exchange) Expect(n int64) { x.expect = n }

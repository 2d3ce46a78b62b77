package sandbox

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A lane is one pipe pair, as the parent sees it. Callers queue their requests; one goroutine writes what has queued,
// as many in a record as fit, and one reads the answers.
type lane struct {
	z    *Zone
	load atomic.Int32 // calls that wait

	in  opener // the reader's
	out sealer // the writer's
	w   io.Writer

	wake chan struct{} // for the writer, when there is something to write or nothing any more

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]*call
	queue   []*call  // of which something is still to be written
	drops   []uint64 // abandoned, of which something was written
	ended   bool
}

// A call is a request under way.
type call struct {
	id       uint64
	deadline time.Time
	request  []byte // nil when the caller is gone
	sent     int    // bytes of the head and the request
	answer   message
	ended    bool          // the zone has
	done     chan struct{} // has room for one
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newLane(z *Zone, e end, in, out sequence) *lane {
	return &lane{
		z:       z,
		in:      opener{sequence: in, r: e.r},
		out:     sealer{out},
		w:       e.w,
		wake:    make(chan struct{}, 1),
		waiting: make(map[uint64]*call),
	}
}

// call sends a request and waits for the answer. See [Zone.CallOn] for on and wait.
func (l *lane) call(ctx context.Context, request []byte, on bool) (_ []byte, wait func() ([]byte, error), _ error) {
	c := calls.Get().(*call)
	c.request, c.sent, c.answer, c.ended = request, 0, message{}, false
	c.deadline, _ = ctx.Deadline()

	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return nil, nil, l.z.Err()
	}
	l.load.Add(1)
	l.lastID++
	c.id = l.lastID
	l.waiting[c.id] = c
	l.queue = append(l.queue, c)
	l.mu.Unlock()
	l.stir()

	select {
	case <-c.done:
	case <-ctx.Done():
		if on {
			return nil, func() ([]byte, error) { <-c.done; return l.finish(c) }, ctx.Err()
		}
		if l.abandon(c) {
			l.load.Add(-1)
			return nil, nil, ctx.Err()
		}
		<-c.done // the answer came at the same time
	}
	answer, err := l.finish(c)
	return answer, nil, err
}

// finish returns the answer to a call that is done, and the call to where it came from.
func (l *lane) finish(c *call) ([]byte, error) {
	l.load.Add(-1)
	ended, m := c.ended, c.answer
	c.request, c.answer = nil, message{}
	calls.Put(c)
	if ended {
		return nil, l.z.Err()
	}
	return m.result()
}

// result turns the message of an answer into what Call returns.
func (m message) result() ([]byte, error) {
	switch m.kind {
	case kindAnswer:
		return m.data, nil
	case kindFailure:
		return nil, &HandlerError{string(m.data)}
	case kindPanicked:
		return nil, ErrPanicked
	case kindTooLarge:
		return nil, ErrTooLarge
	}
	panic("sandbox: internal error: an answer of another kind")
}

func (l *lane) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// abandon takes a call out of everything, so that its request is the caller's again. It reports false for a call that
// was answered.
func (l *lane) abandon(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[c.id] != c {
		return false
	}
	delete(l.waiting, c.id)
	if c.sent > 0 && c.sent < timeHead+len(c.request) {
		l.drops = append(l.drops, c.id)
		l.stir()
	}
	c.request = nil
	c.sent = -1 // for the writer to pass over
	return true
}

// fail answers every call with the end of the zone.
func (l *lane) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for id, c := range l.waiting {
		delete(l.waiting, id)
		c.ended = true
		c.done <- struct{}{}
	}
	l.queue, l.drops = nil, nil
	l.stir()
}

// write writes what queues until the zone has ended.
func (l *lane) write() {
	var b []byte
	for range l.wake {
		// Let those who were answered together ask together.
		runtime.Gosched()
		for {
			var ended bool
			if b, ended = l.gather(newRecord(b)); ended {
				return
			}
			if len(b) == recordHead {
				break
			}
			sealed, err := l.out.seal(b)
			if err != nil {
				l.z.breakOff(err)
				break
			}
			if _, err := l.w.Write(sealed); err != nil {
				break // the zone ends, or it has: then fail stirs
			}
		}
	}
}

// gather appends pieces of what queues to a record. Large requests stand in line again after each piece.
func (l *lane) gather(b []byte) (_ []byte, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.drops) > 0 && room(b) >= pieceHead {
		b = appendPiece(b, l.drops[0], kindDrop, 0, nil)
		l.drops = l.drops[1:]
	}
	for len(l.queue) > 0 {
		c := l.queue[0]
		if c.sent < 0 {
			l.queue = l.queue[1:]
			continue
		}
		total := timeHead + len(c.request)
		n := min(total-c.sent, maxPiece)
		if room(b) < pieceHead+n {
			break
		}
		if c.sent == 0 {
			b = appendRequest(b, c.id, timeLeft(c.deadline), c.request, n)
		} else {
			b = appendPiece(b, c.id, kindRequest, total, c.request[c.sent-timeHead:c.sent-timeHead+n])
		}
		c.sent += n
		l.queue = l.queue[1:]
		if c.sent < total {
			l.queue = append(l.queue, c)
		}
	}
	return b, l.ended
}

// timeLeft is what a request says about its deadline: microseconds from now, at least one; 0 for none.
func timeLeft(deadline time.Time) uint64 {
	if deadline.IsZero() {
		return 0
	}
	return uint64(max(time.Until(deadline).Microseconds(), 1))
}

// read takes answers from the pipe until it ends.
func (l *lane) read() {
	for {
		b, err := l.in.record()
		if err == nil {
			err = l.deliver(b)
		}
		switch {
		case err == nil:
		case isBroken(err):
			l.z.breakOff(err)
			return
		default:
			// The zone ends, by itself or because it was closed. If only the pipe did, there is no use in it.
			l.z.child.kill()
			return
		}
	}
}

// isBroken tells an error of what came over a pipe from the end of the pipe.
func isBroken(err error) bool {
	for _, e := range []error{errOpen, errLength, errCounter, errPiece} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// deliver hands out the answers in a record.
func (l *lane) deliver(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(b) > 0 {
		p, rest, err := cutPiece(b)
		if err != nil {
			return err
		}
		b = rest
		if p.kind < kindAnswer || p.kind > kindTooLarge || p.id == 0 || p.id > l.lastID {
			return errPiece
		}
		c := l.waiting[p.id]
		if c == nil {
			continue // nobody waits for it any more
		}
		if c.sent < timeHead+len(c.request) {
			return errPiece // an answer to what was not asked yet
		}
		whole, err := c.answer.add(p)
		if err != nil {
			return err
		}
		if whole {
			delete(l.waiting, p.id)
			c.done <- struct{}{}
		}
	}
	return nil
}

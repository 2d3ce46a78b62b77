package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Defaults of a stream.
const (
	DefaultInFlight     = 64               // requests one stream may have under way
	DefaultFrameTimeout = 10 * time.Second // for a frame that has begun to arrive, or is being sent
	DefaultGrace        = 10 * time.Second // for requests in flight when the server is told to stop
	readBuffer          = 4 << 10          // bytes; small, since a node holds one for each peer
	maxUnsent           = 256 << 10        // bytes that wait to be written before writers wait too
)

// Errors of a call on a [Conn].
var (
	ErrClosed  = errors.New("protocol: stream is closed")
	ErrNotSent = errors.New("protocol: the request was not sent") // so asking again cannot do it twice
)

// Conn asks over a stream: many requests in flight, matched by id, answered in
// any order. It is a [Handler].
//
// A goroutine reads from the stream. On a Unix socket, and where else a write can
// be tried, that is so only while many ask or nobody does: an asker who is alone
// reads his answer himself, since to be woken by a goroutine that has read it takes
// as long as the answer does. As soon as he has company, or the overseer has found
// him waiting twice (40 ms at most), a goroutine reads instead, and he waits for that
// and for the end of his context. When nothing was asked for as long, a goroutine
// reads too, to notice the stream's end.
type Conn struct {
	out  *frameWriter
	in   frameReader // of whoever reads
	stop deadliner   // stops a read; nil where that cannot be done, and askers never read

	id      uint64
	lone    *lone // the leader's; nil where he cannot be
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*asking
	err     error         // why the stream ended
	done    chan struct{} // closed when it has, and nobody reads any more
	reading bool          // somebody does
	leader  *asking       // the asker who does, or nil
	looked  uint64        // next, when the overseer looked
	watched bool          // the overseer will look

	overseer *overseer
}

// asking is a request that waits for its answer.
type asking struct {
	answer  chan *Response // has room for one
	alone   bool           // nobody else in this process asks
	seen    bool           // the overseer has seen him read
	stopped bool           // and has told him to leave that to a goroutine
}

// NewConn starts to read answers from rw. Close ends it, and rw with it.
func NewConn(rw io.ReadWriteCloser) *Conn {
	out := newFrameWriter(rw)
	// Where a write says at once that the stream has ended, it does no harm that
	// nobody reads for a moment.
	return newConn(rw, out, out.quick != nil)
}

func newConn(rw io.ReadWriteCloser, out *frameWriter, askersRead bool) *Conn {
	c := &Conn{out: out, in: frameReader{r: rw}, waiting: map[uint64]*asking{}, done: make(chan struct{}), reading: true,
		id: streams.Add(1), overseer: processOverseer}
	if askersRead {
		c.stop, _ = rw.(deadliner)
		c.lone = newLone(rw)
	}
	go c.read()
	return c
}

// Handle sends req and waits for its answer, until ctx ends. An error that is
// [ErrNotSent] says that nothing of req left; after any other error req may
// have been done.
func (c *Conn) Handle(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	a := &asking{answer: make(chan *Response, 1)}
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrNotSent, c.err)
	}
	a.alone = requests.next(c.id)
	c.next++
	id := c.next
	c.waiting[id] = a
	alone := len(c.waiting) == 1
	switch {
	case c.reading:
	case alone && hasTime(ctx):
		c.reading, c.leader = true, a
		c.oversee()
	default:
		c.reading = true
		go c.read()
	}
	leads := c.leader == a
	c.mu.Unlock()

	f := &Frame{Id: id, Body: &Frame_Request{Request: req}}
	if leads && a.alone && c.lone != nil {
		c.lone.breathe()
		f.Processor = c.lone.processor.Next()
		c.lone.processor.Keep(f.Processor)
	}
	taken, err := false, error(nil)
	if alone {
		taken, err = c.out.writeNow(f, false, nil)
	}
	if !taken {
		if leads { // who waits for room cannot read
			c.handOver(a)
			leads = false
		}
		err = c.out.write(ctx, f, nil)
	}
	if err != nil {
		c.forget(id)
		if leads {
			c.handOver(a)
		}
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if leads {
		c.lead(a)
	}
	select {
	case resp, ok := <-a.answer:
		if !ok {
			return nil, c.reason()
		}
		return resp, nil
	case <-ctx.Done():
		c.forget(id)
		return nil, ctx.Err()
	}
}

// hasTime says whether ctx lives for so long that its end is seen in time.
func hasTime(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return !ok || time.Until(at) > 4*lonePatience
}

func (c *Conn) forget(id uint64) {
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
}

// reason is why the stream ended.
func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// lead reads until a's answer was read, until a is told to leave it to a
// goroutine, or until the stream ends.
func (c *Conn) lead(a *asking) {
	if c.lone != nil && a.alone && !c.in.ready() {
		waitInKernel(c.lone.kernel)
	}
	c.lone.leave()
	for {
		f, err := c.in.next()
		if err != nil {
			c.mu.Lock()
			stopped := a.stopped
			c.mu.Unlock()
			var timeout interface{ Timeout() bool }
			if stopped && errors.As(err, &timeout) && timeout.Timeout() {
				c.handOver(a)
				return
			}
			c.end(err)
			return
		}
		if !c.deliver(f) {
			return
		}
		if len(a.answer) > 0 && !c.in.ready() {
			c.handOver(a)
			return
		}
	}
}

// handOver ends a's reading. A goroutine goes on if others wait, or a still does.
func (c *Conn) handOver(a *asking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lone.leave()
	c.leader = nil
	if a.stopped && c.err == nil {
		c.stop.SetReadDeadline(time.Time{})
	}
	c.goOn()
}

// goOn has a goroutine read if somebody waits, and nobody if not. Whoever read
// until now does not any more. c.mu is held.
func (c *Conn) goOn() {
	c.reading = c.err != nil || len(c.waiting) > 0
	switch {
	case c.reading:
		go c.read() // Close waits for it
	default:
		c.oversee()
	}
}

// read delivers answers until the stream ends, or until the next asker may read
// for himself.
func (c *Conn) read() {
	for first := true; ; first = false {
		if !first && !c.in.ready() && c.rest() {
			return
		}
		f, err := c.in.next()
		if err != nil {
			c.end(err)
			return
		}
		if !c.deliver(f) {
			return
		}
	}
}

// rest reports whether nobody waits for an answer, so that the reading goroutine
// may end.
func (c *Conn) rest() bool {
	if c.stop == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) > 0 || c.err != nil {
		return false
	}
	c.goOn()
	return true
}

// deliver gives an answer to its asker. It reports whether the stream goes on.
func (c *Conn) deliver(f *Frame) bool {
	if f.GetResponse() == nil {
		c.end(fmt.Errorf("%w: a request where an answer belongs", ErrMalformed))
		return false
	}
	c.mu.Lock()
	a := c.waiting[f.Id]
	delete(c.waiting, f.Id)
	c.mu.Unlock()
	if a != nil { // else its asker has left
		a.answer <- f.GetResponse()
	}
	return true
}

// oversee has the overseer look soon. c.mu is held.
func (c *Conn) oversee() {
	if !c.watched {
		c.watched, c.looked = true, c.next-1
		c.overseer.watch(c)
	}
}

// look has a goroutine read where an asker reads for himself for too long, or
// nobody reads.
func (c *Conn) look() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = false
	switch {
	case c.err != nil:
		return false
	case c.leader != nil && c.leader.seen:
		if !c.leader.stopped {
			c.leader.stopped = true
			c.stop.SetReadDeadline(time.Unix(1, 0))
		}
		return false
	case c.leader != nil:
		c.leader.seen = true
	case c.reading:
		return false
	case c.looked == c.next:
		c.reading = true
		go c.read()
		return false
	}
	c.watched, c.looked = true, c.next
	return true
}

// end ends the stream, for whoever reads from it.
func (c *Conn) end(err error) {
	c.fail(err)
	c.out.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.leader = false, nil
	c.finish()
}

func (c *Conn) fail(err error) {
	if err == io.EOF {
		err = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	for id, a := range c.waiting {
		close(a.answer)
		delete(c.waiting, id)
	}
}

// finish says that the stream has ended, when nobody reads from it. c.mu is held.
func (c *Conn) finish() {
	if c.err == nil || c.reading {
		return
	}
	select {
	case <-c.done:
	default:
		close(c.done)
	}
}

// Done is closed when the stream has ended. That is noticed within some tens of
// milliseconds.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close ends the stream. Calls in flight fail with [ErrClosed].
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	err := c.out.close()
	c.mu.Lock()
	c.finish()
	c.mu.Unlock()
	<-c.done
	return err
}

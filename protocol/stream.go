package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Defaults of a stream.
const (
	DefaultInFlight     = 64               // requests one stream may have under way
	DefaultFrameTimeout = 10 * time.Second // for a frame that has begun to arrive, or is being sent
	DefaultGrace        = 10 * time.Second // for requests in flight when the server is told to stop
	readBuffer          = 4 << 10          // bytes; small, since a node holds one for each peer
	maxUnsent           = 1 << 20          // bytes that wait to be written before writers wait too
)

// Errors of a call on a [Conn].
var (
	ErrClosed  = errors.New("protocol: stream is closed")
	ErrNotSent = errors.New("protocol: the request was not sent") // so asking again cannot do it twice
)

// Conn asks over a stream: many requests in flight, matched by id, answered in
// any order. It is a [Handler].
type Conn struct {
	out *frameWriter

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan *Response
	err     error // why the stream ended
	done    chan struct{}
}

// NewConn starts to read answers from rw. Close ends it, and rw with it.
func NewConn(rw io.ReadWriteCloser) *Conn {
	c := &Conn{out: newFrameWriter(rw), waiting: map[uint64]chan *Response{}, done: make(chan struct{})}
	go c.read(rw)
	return c
}

// Handle sends req and waits for its answer, until ctx ends. An error that is
// [ErrNotSent] says that nothing of req left; after any other error req may
// have been done.
func (c *Conn) Handle(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	answer := make(chan *Response, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrNotSent, c.err)
	}
	c.next++
	id := c.next
	c.waiting[id] = answer
	c.mu.Unlock()

	if err := c.out.write(ctx, &Frame{Id: id, Body: &Frame_Request{Request: req}}); err != nil {
		c.forget(id)
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	select {
	case resp, ok := <-answer:
		if !ok {
			return nil, c.reason()
		}
		return resp, nil
	case <-ctx.Done():
		c.forget(id)
		return nil, ctx.Err()
	}
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

// read delivers answers until the stream ends.
func (c *Conn) read(rw io.ReadCloser) {
	defer close(c.done)
	r := bufio.NewReaderSize(rw, readBuffer)
	for {
		f, err := ReadFrame(r)
		if err == nil && f.GetResponse() == nil {
			err = fmt.Errorf("%w: a request where an answer belongs", ErrMalformed)
		}
		if err != nil {
			c.fail(err)
			c.out.close()
			return
		}
		c.mu.Lock()
		answer := c.waiting[f.Id]
		delete(c.waiting, f.Id)
		c.mu.Unlock()
		if answer != nil { // else its asker has left
			answer <- f.GetResponse()
		}
	}
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
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
}

// Done is closed when the stream has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close ends the stream. Calls in flight fail with [ErrClosed].
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	err := c.out.close()
	<-c.done
	return err
}

// Server answers the requests of one stream.
type Server struct {
	Handle       func(context.Context, *Request) *Response
	Door         Door
	InFlight     int           // 0: DefaultInFlight; at the limit nothing more is read
	FrameTimeout time.Duration // 0: DefaultFrameTimeout
	Grace        time.Duration // 0: DefaultGrace; then what is in flight is told to end

	// Admit, if set, is asked before a frame of so many bytes is read. It may
	// wait, and so make the sender wait; an error ends the stream. What it
	// returns is called once the request is answered.
	Admit func(ctx context.Context, size int) (release func(), err error)
}

// Serve reads requests from rw until it ends or ctx does, answers what it has
// read, and closes rw. A frame that cannot be decoded ends the stream; a
// request that does not fit its operation is answered. Handle gets a context
// that ends with the request's own timeout, not with ctx: that one only stops
// the reading, and what is in flight has Grace to be answered.
func (s *Server) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	frameTimeout := or(s.FrameTimeout, DefaultFrameTimeout)
	slots := make(chan struct{}, or(s.InFlight, DefaultInFlight))
	out := newFrameWriter(rw)
	out.timeout = frameTimeout
	inFlight, abort := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		out.drain()
		out.close()
		abort()
	}()

	// A reader that waits for the next frame does not see ctx end.
	stop := context.AfterFunc(ctx, func() {
		stopReading(rw)
		select {
		case <-time.After(or(s.Grace, DefaultGrace)):
			abort()
		case <-inFlight.Done():
		}
	})
	defer stop()

	r := bufio.NewReaderSize(rw, readBuffer)
	for {
		n, err := awaitFrame(ctx, r, rw, frameTimeout)
		if err != nil {
			return ended(ctx, err)
		}
		slots <- struct{}{}
		release := func() {}
		if s.Admit != nil {
			if release, err = s.Admit(ctx, n); err != nil {
				return ended(ctx, err)
			}
		}
		f, err := readBody(ctx, r, n, rw, frameTimeout)
		if err == nil && f.GetRequest() == nil {
			err = fmt.Errorf("%w: an answer where a request belongs", ErrMalformed)
		}
		if err != nil {
			release()
			return ended(ctx, err)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer release()
			resp := s.answer(inFlight, f.GetRequest())
			err := out.write(context.Background(), &Frame{Id: f.Id, Body: &Frame_Response{Response: resp}})
			if errors.Is(err, ErrFrameTooLong) {
				resp = Refuse(Status_INTERNAL, "the answer is too long")
				out.write(context.Background(), &Frame{Id: f.Id, Body: &Frame_Response{Response: resp}})
			}
		})
	}
}

func (s *Server) answer(ctx context.Context, req *Request) *Response {
	if refusal := Check(req, s.Door); refusal != nil {
		return refusal
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout(req))
	defer cancel()
	return s.Handle(ctx, req)
}

// or is v, or fallback if v is zero.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// deadliner is what net.Conn and libp2p streams have in common here.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// stopReading ends a read that waits, and lets writes go on.
func stopReading(rw io.ReadWriteCloser) {
	if d, ok := rw.(deadliner); ok {
		d.SetReadDeadline(time.Unix(1, 0))
		return
	}
	rw.Close()
}

// awaitFrame waits without limit for a frame to begin, and returns its length:
// an idle stream may stay open, but a frame that has begun must come.
func awaitFrame(ctx context.Context, r *bufio.Reader, rw io.ReadWriteCloser, timeout time.Duration) (int, error) {
	if d, ok := rw.(deadliner); ok {
		if r.Buffered() == 0 {
			d.SetReadDeadline(time.Time{})
			if ctx.Err() != nil { // it may have ended just before the deadline was taken away
				return 0, ctx.Err()
			}
			if _, err := r.Peek(1); err != nil {
				return 0, err
			}
		}
		if !wholeLength(r) {
			d.SetReadDeadline(time.Now().Add(timeout))
		}
	}
	if ctx.Err() != nil { // so that the deadline which stops the reading is not moved for good
		return 0, ctx.Err()
	}
	return readLength(r)
}

// readBody reads the rest of a frame, within the timeout.
func readBody(ctx context.Context, r *bufio.Reader, n int, rw io.ReadWriteCloser, timeout time.Duration) (*Frame, error) {
	if d, ok := rw.(deadliner); ok && r.Buffered() < n {
		d.SetReadDeadline(time.Now().Add(timeout))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return readFrame(r, n)
}

// wholeLength says whether the reader's buffer holds the next length wholly.
func wholeLength(r *bufio.Reader) bool {
	b, _ := r.Peek(min(r.Buffered(), maxLength))
	return len(b) == maxLength || slices.ContainsFunc(b, func(c byte) bool { return c < 0x80 })
}

func ended(ctx context.Context, err error) error {
	if err == io.EOF || ctx.Err() != nil {
		return nil
	}
	return err
}

// frameWriter joins frames that are written at the same time into one write.
// A goroutine lives only as long as something is unsent: an idle stream has
// none, and no asker is kept busy writing for others.
type frameWriter struct {
	w       io.WriteCloser
	timeout time.Duration

	mu       sync.Mutex
	changed  sync.Cond // unsent, flushing or err
	unsent   []byte
	spare    []byte
	flushing bool
	err      error
}

func newFrameWriter(w io.WriteCloser) *frameWriter {
	fw := &frameWriter{w: w, timeout: DefaultFrameTimeout}
	fw.changed.L = &fw.mu
	return fw
}

// write takes f to be sent. After an error nothing of f leaves.
func (fw *frameWriter) write(ctx context.Context, f *Frame) error {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	if len(fw.unsent) > maxUnsent {
		stop := context.AfterFunc(ctx, func() {
			fw.mu.Lock()
			defer fw.mu.Unlock()
			fw.changed.Broadcast()
		})
		defer stop()
		for fw.err == nil && len(fw.unsent) > maxUnsent {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fw.changed.Wait()
		}
	}
	if fw.err != nil {
		return fw.err
	}
	var err error
	if fw.unsent, err = AppendFrame(fw.unsent, f); err != nil {
		return err
	}
	if !fw.flushing {
		fw.flushing = true
		go fw.flush() // close waits for it
	}
	return nil
}

func (fw *frameWriter) flush() {
	runtime.Gosched() // who is about to write may join
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for fw.err == nil && len(fw.unsent) > 0 {
		b := fw.unsent
		fw.unsent, fw.spare = fw.spare[:0], nil
		fw.mu.Unlock()
		if d, ok := fw.w.(deadliner); ok {
			d.SetWriteDeadline(time.Now().Add(fw.timeout))
		}
		_, err := fw.w.Write(b)
		if err != nil {
			fw.w.Close() // the reader must notice too
		}
		fw.mu.Lock()
		if fw.err == nil {
			fw.err = err
		}
		if cap(b) <= readBuffer*4 {
			fw.spare = b
		}
		fw.changed.Broadcast()
	}
	fw.flushing = false
	fw.changed.Broadcast()
}

// drain waits until everything is sent, or cannot be.
func (fw *frameWriter) drain() {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for fw.flushing {
		fw.changed.Wait()
	}
}

// close ends the stream, and drops what is unsent.
func (fw *frameWriter) close() error {
	fw.mu.Lock()
	if fw.err == nil {
		fw.err = ErrClosed
	}
	fw.changed.Broadcast()
	fw.mu.Unlock()
	err := fw.w.Close()
	fw.drain()
	return err
}

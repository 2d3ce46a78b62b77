package protocol

import (
	"bufio"
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
	readBuffer          = 4 << 10          // bytes; small, since a node holds one for each peer
	maxUnsent           = 1 << 20          // bytes that wait to be written before writers wait too
)

// ErrClosed is what a call on a closed stream gives.
var ErrClosed = errors.New("protocol: stream is closed")

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

// Handle sends req and waits for its answer, until ctx ends.
func (c *Conn) Handle(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer := make(chan *Response, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.next++
	id := c.next
	c.waiting[id] = answer
	c.mu.Unlock()

	if err := c.out.write(&Frame{Id: id, Body: &Frame_Request{Request: req}}); err != nil {
		c.forget(id)
		if errors.Is(err, ErrFrameTooLong) {
			return nil, err
		}
		return nil, c.reason(err)
	}
	select {
	case resp, ok := <-answer:
		if !ok {
			return nil, c.reason(nil)
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

// reason prefers why the reader ended, which knows more, to what a writer saw.
func (c *Conn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
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
			rw.Close()
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
}

// Serve reads requests from rw until it ends or ctx does, and returns when the
// last of them is answered. A frame that cannot be decoded ends the stream; a
// request that does not fit its operation is answered.
func (s *Server) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	inFlight, frameTimeout := s.InFlight, s.FrameTimeout
	if inFlight == 0 {
		inFlight = DefaultInFlight
	}
	if frameTimeout == 0 {
		frameTimeout = DefaultFrameTimeout
	}
	out := newFrameWriter(rw)
	out.timeout = frameTimeout
	slots := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	defer rw.Close()
	defer wg.Wait() // what is in flight is answered before the stream closes

	// A reader that waits for the next frame does not see ctx end.
	stop := context.AfterFunc(ctx, func() { stopReading(rw) })
	defer stop()

	r := bufio.NewReaderSize(rw, readBuffer)
	for {
		if err := awaitFrame(ctx, r, rw, frameTimeout); err != nil {
			return ended(ctx, err)
		}
		f, err := ReadFrame(r)
		if err != nil {
			return ended(ctx, err)
		}
		req := f.GetRequest()
		if req == nil {
			return fmt.Errorf("%w: an answer where a request belongs", ErrMalformed)
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			resp := Check(req, s.Door)
			if resp == nil {
				// A request that was read is answered, even if the node stops meanwhile.
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Timeout(req))
				resp = s.Handle(ctx, req)
				cancel()
			}
			err := out.write(&Frame{Id: f.Id, Body: &Frame_Response{Response: resp}})
			if errors.Is(err, ErrFrameTooLong) {
				out.write(&Frame{Id: f.Id, Body: &Frame_Response{Response: Refuse(Status_INTERNAL, "the answer is too long")}})
			}
		})
	}
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

// awaitFrame waits without limit for a frame to begin, then sets a deadline for
// the rest of it, unless the rest is here: a slow sender holds no request slot
// and not for long a buffer.
func awaitFrame(ctx context.Context, r *bufio.Reader, rw io.ReadWriteCloser, timeout time.Duration) error {
	d, ok := rw.(deadliner)
	if !ok {
		return nil
	}
	if r.Buffered() == 0 {
		d.SetReadDeadline(time.Time{})
		if ctx.Err() != nil { // it may have ended just before the deadline was taken away
			return ctx.Err()
		}
		if _, err := r.Peek(1); err != nil {
			return err
		}
	}
	if !wholeFrame(r) {
		d.SetReadDeadline(time.Now().Add(timeout))
	}
	return ctx.Err()
}

// wholeFrame says whether the reader's buffer holds the next frame wholly.
func wholeFrame(r *bufio.Reader) bool {
	b, _ := r.Peek(min(r.Buffered(), 3))
	n, size := 0, 0
	for i, c := range b {
		n |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			size = i + 1
			break
		}
	}
	return size > 0 && r.Buffered() >= size+n
}

func ended(ctx context.Context, err error) error {
	if err == io.EOF || ctx.Err() != nil {
		return nil
	}
	return err
}

// frameWriter joins frames that are written at the same time into one write:
// whoever finds nobody writing writes for all who come meanwhile.
type frameWriter struct {
	w       io.WriteCloser
	timeout time.Duration

	mu      sync.Mutex
	room    sync.Cond
	unsent  []byte
	spare   []byte
	writing bool
	err     error
}

func newFrameWriter(w io.WriteCloser) *frameWriter {
	fw := &frameWriter{w: w, timeout: DefaultFrameTimeout}
	fw.room.L = &fw.mu
	return fw
}

func (fw *frameWriter) write(f *Frame) error {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for fw.err == nil && len(fw.unsent) > maxUnsent {
		fw.room.Wait()
	}
	if fw.err != nil {
		return fw.err
	}
	var err error
	if fw.unsent, err = AppendFrame(fw.unsent, f); err != nil {
		return err
	}
	if fw.writing {
		return nil
	}
	fw.writing = true
	for fw.err == nil && len(fw.unsent) > 0 {
		b := fw.unsent
		fw.unsent, fw.spare = fw.spare[:0], nil
		fw.mu.Unlock()
		if d, ok := fw.w.(deadliner); ok {
			d.SetWriteDeadline(time.Now().Add(fw.timeout))
		}
		_, err := fw.w.Write(b)
		fw.mu.Lock()
		if err != nil {
			fw.err = err
			fw.w.Close() // the reader must notice too
		}
		if cap(b) <= readBuffer*4 {
			fw.spare = b
		}
		fw.room.Broadcast()
	}
	fw.writing = false
	return fw.err
}

func (fw *frameWriter) close() error {
	fw.mu.Lock()
	if fw.err == nil {
		fw.err = ErrClosed
	}
	fw.room.Broadcast()
	fw.mu.Unlock()
	return fw.w.Close()
}

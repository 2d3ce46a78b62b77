package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

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

	// Room, if set, is asked before a request is handled whose answer may be large, in
	// bytes: see AnswerSize. It may wait; a refusal is the answer. What it returns else is
	// called when the answer has left, or cannot.
	Room func(ctx context.Context, size int) (release func(), refusal *Response)
}

// Serve reads requests from rw until it ends or ctx does, answers what it has
// read, and closes rw. A frame that cannot be decoded ends the stream; a
// request that does not fit its operation is answered. Handle gets a context
// that ends with the request's own timeout, and when the stream breaks, so that
// nobody can read the answer; not with ctx: that one only stops the reading, and
// what is in flight has Grace to be answered.
func (s *Server) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	v := &serving{Server: s, stop: ctx, rw: rw, r: bufio.NewReaderSize(rw, readBuffer), out: newFrameWriter(rw),
		slots: make(chan struct{}, or(s.InFlight, DefaultInFlight)), timeout: or(s.FrameTimeout, DefaultFrameTimeout),
		id: streams.Add(1), ended: make(chan error, 1), overseer: processOverseer}
	v.out.timeout = v.timeout
	v.inFlight, v.abort = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		v.running.Wait()
		v.out.drain()
		v.out.close()
		v.abort()
	}()

	// A reader that waits for the next frame does not see ctx end.
	stop := context.AfterFunc(ctx, func() {
		stopReading(rw)
		select {
		case <-time.After(or(s.Grace, DefaultGrace)):
			v.abort()
		case <-v.inFlight.Done():
		}
	})
	defer stop()

	v.read(0)
	return <-v.ended
}

// serving is a stream being served. A goroutine has the turn: it reads a request
// and, if nothing else is under way, works on it and writes the answer itself,
// since on the way to another goroutine and back a thread may have to be woken,
// which takes longer than a signature. If that takes long, another goroutine
// gets the turn, as in the zone (sandbox/serve.go), and whoever had it writes
// his answer and ends.
type serving struct {
	*Server
	stop     context.Context // ends the reading
	inFlight context.Context // of the requests
	abort    func()          // ends that
	rw       io.ReadWriteCloser
	out      *frameWriter
	slots    chan struct{} // one for each request under way
	timeout  time.Duration
	running  sync.WaitGroup
	ended    chan error // of the reading, once

	// For the one who has the turn only.
	r     *bufio.Reader
	id    uint64
	alone bool // its requests are all there are

	turn    sync.Mutex
	epoch   int       // who has the turn
	since   time.Time // when he began with a request; zero while he reads
	used    bool      // there were requests since the overseer looked
	watched bool      // the overseer will look

	overseer *overseer
}

// read reads until the stream ends or the turn is another's.
func (v *serving) read(epoch int) {
	lone := newLone(v.rw)
	defer lone.leave()
	for {
		f, release, err := v.next()
		if err != nil {
			v.ended <- ended(v.stop, err)
			return
		}
		if len(v.slots) == 1 && v.r.Buffered() == 0 && isQuick(f.GetRequest()) {
			if !v.answerHere(f, release, epoch) {
				return
			}
			v.await(lone, f.Processor)
			continue
		}
		lone.leave()
		v.running.Go(func() {
			defer v.done(release)
			v.reply(f, false)
		})
	}
}

// await waits for the next request of a lone asker where he does.
func (v *serving) await(lone *lone, processor uint32) {
	if lone != nil && v.alone && v.r.Buffered() == 0 {
		lone.breathe()
		lone.processor.Keep(processor)
		if waitInKernel(lone.kernel) {
			return
		}
	}
	lone.leave()
}

// next reads a request, and takes a slot for it.
func (v *serving) next() (*Frame, func(), error) {
	n, err := awaitFrame(v.stop, v.r, v.rw, v.timeout)
	if err != nil {
		v.lose(err)
		return nil, nil, err
	}
	v.alone = requests.next(v.id)
	v.slots <- struct{}{}
	release := func() {}
	if v.Admit != nil {
		if release, err = v.Admit(v.stop, n); err != nil {
			return nil, nil, err
		}
	}
	f, err := readBody(v.stop, v.r, n, v.rw, v.timeout)
	if err == nil && f.GetRequest() == nil {
		err = fmt.Errorf("%w: an answer where a request belongs", ErrMalformed)
	}
	if err != nil {
		v.lose(err)
		release()
		return nil, nil, err
	}
	return f, release, nil
}

// lose ends the requests under way if reading has failed because the stream is
// broken. One that ends, or of which the node will read no more, can still be
// written to.
func (v *serving) lose(err error) {
	var timeout interface{ Timeout() bool }
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF, v.stop.Err() != nil, errors.Is(err, ErrMalformed), errors.Is(err, ErrFrameTooLong),
		errors.As(err, &timeout) && timeout.Timeout():
	default:
		v.abort()
	}
}

func (v *serving) done(release func()) {
	release()
	<-v.slots
}

// isQuick says whether a request is of a kind that is answered at once, mostly.
func isQuick(req *Request) bool {
	op, ok := Lookup(req.Operation)
	return ok && !op.Changes && op.Door == DoorPeer
}

// answerHere works on a request in the goroutine that read it, and reports
// whether the turn is still its own.
func (v *serving) answerHere(f *Frame, release func(), epoch int) bool {
	v.running.Add(1)
	defer v.running.Done()
	defer v.done(release)
	v.turn.Lock()
	v.since, v.used = time.Now(), true
	if !v.watched {
		v.watched = true
		v.overseer.watch(v)
	}
	v.turn.Unlock()
	v.reply(f, true)
	v.turn.Lock()
	defer v.turn.Unlock()
	if v.epoch != epoch {
		return false
	}
	v.since = time.Time{}
	return true
}

// look takes the turn from a request that is slow.
func (v *serving) look() bool {
	v.turn.Lock()
	defer v.turn.Unlock()
	if !v.since.IsZero() && time.Since(v.since) >= patience {
		v.epoch++
		v.since = time.Time{}
		epoch := v.epoch
		v.running.Go(func() { v.read(epoch) })
	}
	v.watched = v.used
	v.used = !v.since.IsZero()
	return v.watched
}

// reply answers a request. alone says that this goroutine may be kept by the
// stream, and that probably nobody else writes.
func (v *serving) reply(f *Frame, alone bool) {
	resp, release := v.answer(v.inFlight, f.GetRequest())
	err := v.write(f.Id, resp, alone, release)
	if errors.Is(err, ErrFrameTooLong) {
		err = v.write(f.Id, Refuse(Status_INTERNAL, "the answer is too long"), alone, release)
	}
	if err != nil {
		if release != nil {
			release()
		}
		v.abort() // nor will any other answer be read
	}
}

func (v *serving) write(id uint64, resp *Response, alone bool, gone func()) error {
	f := &Frame{Id: id, Body: &Frame_Response{Response: resp}}
	if alone {
		if taken, err := v.out.writeNow(f, true, gone); taken {
			return err
		}
	}
	return v.out.write(context.Background(), f, gone)
}

// answer answers req. release is to be called when that has left; nil: nothing is.
func (s *Server) answer(ctx context.Context, req *Request) (resp *Response, release func()) {
	if refusal := Check(req, s.Door); refusal != nil {
		return refusal, nil
	}
	limited := &limitedContext{Context: ctx, at: time.Now().Add(Timeout(req))}
	defer limited.release()
	if size := AnswerSize(req); s.Room != nil && size > 0 {
		var refusal *Response
		if release, refusal = s.Room(limited, size); refusal != nil {
			return refusal, nil
		}
	}
	return s.Handle(limited, req), release
}

// or is v, or fallback if v is zero.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
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

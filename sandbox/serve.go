package sandbox

import (
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/sandbox/processor"
)

// Inside, a goroutine has the turn on each pipe: it reads a record, works on its requests one after the other, and
// writes what it has answered once nothing more is there to read, or after a while. If a request takes long, the
// overseer gives the turn to another goroutine, as the Go runtime does with a thread that stays in a system call; the
// first one writes its answer alone and ends. Requests that the caller knows to take long come on a pipe of their own.

const (
	slow       = 5 * time.Millisecond   // after this long a request loses the turn
	maxWait    = 250 * time.Microsecond // an answer is held back for others this long
	maxAnswers = 32 << 10               // and until this many bytes have gathered
	breath     = 9 * time.Millisecond
	idleTicks  = 20 // the overseer sleeps after this many looks at nothing
)

// A server answers the requests of some pipes.
type server struct {
	handler    Handler
	limit      int32          // of handlers at work at once, on the pipe for what takes long and on all others
	exit       func(code int) // ends the process
	processors *processor.Set // that it may use

	lanes   []*servedLane
	running atomic.Int32 // handlers at work
	long    atomic.Int32 // the same on the pipe for what takes long
	asleep  atomic.Bool  // the overseer is, and waits for wake
	wake    chan struct{}
}

// Exit codes of a zone.
const (
	exitClosed  = 0 // the pipe was closed
	exitRuntime = 2 // Go's own, after a fault that cannot be recovered
	exitPipe    = 3 // something came over the pipe that the parent did not send, or a counter was used up
	exitStart   = 4 // the zone has said why it does not start
	exitGone    = 5 // a handler ended its goroutine
)

// A servedLane is one pipe pair, as the zone sees it.
type servedLane struct {
	s       *server
	running *atomic.Int32 // which of the server's it counts
	files   end           // r and w use: open as long as this is there

	turn  sync.Mutex
	epoch int       // who has the turn
	since time.Time // when it called the handler; zero while it does not

	// For the one who has the turn only.
	in     opener
	rest   []byte // pieces of the last record
	parts  map[uint64]*message
	out    []byte    // answers to be written, a record to be sealed
	first  time.Time // when the first of them was made
	breath time.Time // when the goroutine was scheduled last
	waits  int       // the processor on which its only caller does, or processor.None

	write sync.Mutex // for the two below
	w     io.Writer
	seal  sealer
}

func newServer(h Handler, workers int, exit func(int)) *server {
	return &server{handler: h, limit: int32(4 * workers), exit: exit, processors: processor.Allowed(),
		wake: make(chan struct{}, 1)}
}

func (s *server) add(e end, in, out sequence) *servedLane {
	r, w := raw(e)
	l := &servedLane{
		s:       s,
		running: &s.running,
		files:   e,
		in:      opener{sequence: in, r: r},
		parts:   make(map[uint64]*message),
		out:     newRecord(nil),
		waits:   processor.None,
		w:       w,
		seal:    sealer{out},
	}
	s.lanes = append(s.lanes, l)
	return l
}

// serve answers what comes in, until the turn is another's.
func (l *servedLane) serve(epoch int) {
	keeper := processor.Keeper{Within: l.s.processors}
	defer keeper.Keep(processor.None)
	if len(l.out) > recordHead { // left by the one before
		l.flush()
	}
	for {
		if len(l.rest) == 0 {
			if len(l.out) > recordHead && !l.in.buffered() {
				l.flush()
				l.breathe(&keeper)
			}
			keeper.Keep(l.waits)
			var err error
			if l.rest, err = l.in.record(); err != nil {
				l.end(err)
				return
			}
		}
		var p piece
		var err error
		if p, l.rest, err = cutPiece(l.rest); err != nil {
			l.end(err)
			return
		}
		if !l.take(p, epoch) {
			return
		}
	}
}

// take works on one piece and reports whether the turn is still its own.
func (l *servedLane) take(p piece, epoch int) bool {
	switch p.kind {
	case kindDrop:
		delete(l.parts, p.id)
		return true
	case kindMove:
		if len(p.data) != 4 || p.total != 4 {
			l.end(errPiece)
			return false
		}
		l.waits = int(binary.LittleEndian.Uint32(p.data))
		return true
	case kindRequest:
	default:
		l.end(errPiece)
		return false
	}
	m := l.parts[p.id]
	if m == nil && len(p.data) == p.total {
		return l.answer(p.id, p.data, epoch)
	}
	if m == nil {
		m = new(message)
		l.parts[p.id] = m
	}
	whole, err := m.add(p)
	if err != nil {
		l.end(err)
		return false
	}
	if whole {
		delete(l.parts, p.id)
		if l.running.Load() >= l.s.limit {
			return l.answer(p.id, m.data, epoch)
		}
		// Large ones take their time, and need not wait for the overseer to see it.
		l.running.Add(1)
		go func() {
			defer l.running.Add(-1)
			k, answer := l.s.call(m.data)
			l.writeAlone(p.id, k, answer)
		}()
	}
	return true
}

// answer calls the handler. Another may have the turn when it returns.
func (l *servedLane) answer(id uint64, request []byte, epoch int) bool {
	now := time.Now()
	lone := l.waits != processor.None // nothing comes behind, and to be overseen costs a wake-up now and then
	if !lone {
		l.begin(now)
	}
	l.running.Add(1)
	k, answer := l.s.call(request)
	l.running.Add(-1)
	if !lone && !l.finish(epoch) {
		l.writeAlone(id, k, answer)
		return false
	}
	if len(answer) > maxPiece {
		go l.writeAlone(id, k, answer)
		return true
	}
	if room(l.out) < pieceHead+len(answer) {
		l.flush()
	}
	if len(l.out) == recordHead {
		l.first = now
	}
	l.out = appendPiece(l.out, id, k, len(answer), answer)
	if len(l.out) > maxAnswers || now.Sub(l.first) > maxWait {
		l.flush()
	}
	return true
}

// begin says since when a request has the turn.
func (l *servedLane) begin(now time.Time) {
	l.turn.Lock()
	l.since = now
	l.turn.Unlock()
	l.s.stir()
}

// finish reports whether the turn is still that of who began.
func (l *servedLane) finish(epoch int) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.epoch != epoch {
		return false
	}
	l.since = time.Time{}
	return true
}

// breathe has the goroutine scheduled now and then. The runtime's monitor takes the processor from one that was not for
// 10 ms, as from one that waits in the kernel for its next request again and again, and then looks every 20 µs for what
// else there is; with a lone caller that would be all the time.
func (l *servedLane) breathe(keeper *processor.Keeper) {
	if l.first.Sub(l.breath) > breath {
		l.breath = l.first
		keeper.Keep(processor.None) // else it would be another thread that looks for work
		runtime.Gosched()
	}
}

func (l *servedLane) flush() {
	l.writeRecord(l.out)
	l.out = newRecord(l.out)
}

// writeAlone writes an answer piece by piece, others between.
func (l *servedLane) writeAlone(id uint64, k kind, answer []byte) {
	total := len(answer)
	var b []byte
	for {
		n := min(len(answer), maxPiece)
		b = appendPiece(newRecord(b), id, k, total, answer[:n])
		l.writeRecord(b)
		answer = answer[n:]
		if len(answer) == 0 {
			return
		}
	}
}

func (l *servedLane) writeRecord(b []byte) {
	l.write.Lock()
	defer l.write.Unlock()
	b, err := l.seal.seal(b)
	if err != nil {
		l.end(err)
		return
	}
	if _, err := l.w.Write(b); err != nil {
		l.s.exit(exitClosed)
	}
}

// end ends the zone: there is nothing to be said on a pipe that is not to be trusted.
func (l *servedLane) end(err error) {
	if err == io.EOF {
		l.s.exit(exitClosed)
		return
	}
	l.s.exit(exitPipe)
}

// call runs the handler on a whole request.
func (s *server) call(message []byte) (k kind, answer []byte) {
	if len(message) < timeHead {
		s.exit(exitPipe)
		return kindPanicked, nil
	}
	ctx := context.Background()
	if us := binary.LittleEndian.Uint64(message); us != 0 {
		d := &deadline{Context: ctx, at: time.Now().Add(time.Duration(us) * time.Microsecond)}
		defer d.release()
		ctx = d
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		if recover() == nil { // runtime.Goexit
			s.exit(exitGone)
		}
		k, answer = kindPanicked, nil
	}()
	answer, err := s.handler(ctx, message[timeHead:])
	returned = true
	switch {
	case err != nil:
		text := err.Error()
		return kindFailure, []byte(text[:min(len(text), maxErrorText)])
	case len(answer) > MaxPayload:
		return kindTooLarge, nil
	}
	return kindAnswer, answer
}

// stir wakes the overseer.
func (s *server) stir() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		s.wake <- struct{}{}
	}
}

// oversee takes the turn from requests that are slow. It looks every few milliseconds while there is work, and sleeps
// when there is none, since a zone may be idle for days.
func (s *server) oversee() {
	for idle := 0; ; {
		time.Sleep(slow)
		now := time.Now()
		idle++
		for _, l := range s.lanes {
			if l.oversee(now) {
				idle = 0
			}
		}
		if idle > idleTicks {
			s.asleep.Store(true)
			<-s.wake
			idle = 0
		}
	}
}

func (l *servedLane) oversee(now time.Time) (busy bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.since.IsZero() {
		return false
	}
	if now.Sub(l.since) < slow || l.running.Load() >= l.s.limit {
		return true
	}
	l.epoch++
	l.since = time.Time{}
	l.in.detach() // the request lies in the old buffer
	go l.serve(l.epoch)
	return true
}

// A deadline is a context that sets up a timer only for a handler that waits for it.
type deadline struct {
	context.Context
	at    time.Time
	mu    sync.Mutex
	done  chan struct{}
	timer *time.Timer
}

func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		done := make(chan struct{})
		d.done = done
		d.timer = time.AfterFunc(time.Until(d.at), func() { close(done) })
	}
	return d.done
}

func (d *deadline) Err() error {
	if time.Now().Before(d.at) {
		return nil
	}
	return context.DeadlineExceeded
}

func (d *deadline) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Zone is a handler that runs in a process of its own. Its methods are safe for concurrent use.
type Zone struct {
	child  *child
	status Status
	lanes  []*lane
	slow   *lane         // of lanes, the one for requests that take long
	calls  atomic.Int32  // under way
	quick  bool          // whether a caller who is alone has a lane of his own
	turn   atomic.Uint32 // where to look for an idle lane first
	shared atomic.Uint32 // calls by the lanes that many share
	start  chan struct{} // closed when Start is through with the lanes
	ended  chan struct{} // closed when err is set
	done   chan struct{}
	step   string         // what it said last before its report
	wg     sync.WaitGroup // readers and writers

	mu     sync.Mutex
	closed bool  // by Close
	broken error // what was wrong with a pipe
	err    *EndedError
}

// closeGrace is how long a zone has to end after its pipe was closed, before it is killed.
const closeGrace = time.Second

// maxLone is the largest request, of those whose answer must be known or that take long, that is taken for that of one
// caller. A larger one is of several, who work while the zone does: it had better do so on another processor.
const maxLone = 1 << 10

// Start starts the zone of a name and returns when it is locked down and its setup has run. ctx bounds the start only;
// the zone lives until Close, until the thread or the process of its parent ends, or until it fails. The error is
// [ErrNoGate], a [*LayerError], a [*SetupError], that of ctx, or one that says what the system refused.
func Start(ctx context.Context, c Config) (*Zone, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !hasGate(c.Name) {
		return nil, fmt.Errorf("%w: %q", ErrNoGate, c.Name)
	}
	workers := c.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers < 0 || workers > maxWorkers {
		return nil, fmt.Errorf("sandbox: %d workers; at most %d", workers, maxWorkers)
	}
	z := &Zone{start: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error, 1)
	go z.live(c.Name, workers, c.Memory, started)
	if err := <-started; err != nil {
		return nil, err
	}

	// A zone that hangs is killed, which ends the reading below.
	stop := context.AfterFunc(ctx, z.child.kill)
	err := z.greet()
	if !stop() && err != nil {
		err = ctx.Err()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		z.child.kill()
		close(z.start)
		<-z.done
		if errors.Is(err, errNoReport) && z.err.Reason == ReasonFilter {
			err = &DeniedError{z.step}
		} else if errors.Is(err, errNoReport) {
			err = fmt.Errorf("sandbox: the zone did not start: %w", z.err)
		}
		return nil, err
	}
	for _, l := range z.lanes {
		z.wg.Go(l.read)
		z.wg.Go(l.write)
	}
	close(z.start)
	return z, nil
}

// live starts the process, waits for it and cleans up. It stays on one thread all that time: the kernel's signal of a
// parent's death comes when the thread that started the child ends.
func (z *Zone) live(name string, workers int, memory uint64, started chan<- error) {
	runtime.LockOSThread()
	child, err := startChild(name, workers, memory)
	if err != nil {
		close(z.done)
		started <- err
		return
	}
	z.child = child
	started <- nil
	state, err := child.process.Wait()
	if err != nil {
		panic("sandbox: internal error: waiting for the zone: " + err.Error())
	}
	<-z.start // its end has ended any reading there

	z.mu.Lock()
	z.err = z.reason(state)
	z.mu.Unlock()
	close(z.ended)
	for _, l := range z.lanes {
		l.fail()
	}
	child.close()
	z.wg.Wait()
	close(z.done)
}

// reason tells why the process ended.
func (z *Zone) reason(state *os.ProcessState) *EndedError {
	ws := state.Sys().(syscall.WaitStatus)
	switch {
	case ws.Signaled() && ws.Signal() == filterSignal:
		return &EndedError{Reason: ReasonFilter, Signal: ws.Signal()}
	case z.broken != nil:
		return &EndedError{Reason: ReasonPipe, Err: z.broken}
	case z.closed:
		return &EndedError{Reason: ReasonClosed}
	case ws.Signaled():
		return &EndedError{Reason: ReasonSignal, Signal: ws.Signal()}
	case ws.ExitStatus() == exitPipe:
		return &EndedError{Reason: ReasonPipe}
	}
	return &EndedError{Reason: ReasonExit, ExitCode: ws.ExitStatus()}
}

// errNoReport is returned by greet when the pipe ended before the zone had said anything.
var errNoReport = errors.New("sandbox: no report")

// greet agrees on the keys and reads the zone's report.
func (z *Zone) greet() error {
	ends := z.child.ends
	pipes := len(ends)
	if z.child.quick != nil {
		pipes++
	}
	toZone, toParent, err := exchange(struct {
		io.Reader
		io.Writer
	}{ends[0].r, ends[0].w}, true, pipes)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoReport, err)
	}
	for i, e := range ends {
		z.lanes = append(z.lanes, newLane(z, e, toParent[i], toZone[i]))
	}
	z.slow = z.lanes[len(z.lanes)-1]
	if z.child.quick != nil {
		z.child.quick.open(z, toParent[len(ends)], toZone[len(ends)])
		// Who waits in the kernel keeps a P from other goroutines for a while.
		z.quick = runtime.GOMAXPROCS(0) > 1
	}
	var m message
	for whole := false; !whole; {
		b, err := z.lanes[0].in.record()
		if err != nil {
			return fmt.Errorf("%w: %w", errNoReport, err)
		}
		p, rest, err := cutPiece(b)
		if err != nil || len(rest) > 0 || p.id != 0 {
			return fmt.Errorf("sandbox: the zone's report: %w", errPiece)
		}
		if whole, err = m.add(p); err != nil {
			return fmt.Errorf("sandbox: the zone's report: %w", err)
		}
		if whole && m.kind == kindStep {
			z.step, m, whole = string(m.data), message{}, false
		}
	}
	if m.kind == kindSetup {
		return &SetupError{string(m.data)}
	}
	layers, err := parseLayers(m.data)
	if err != nil {
		return err
	}
	z.status = Status{PID: z.child.process.Pid, Layers: append(z.child.layers, layers...)}
	for _, l := range z.status.Layers {
		if l.Required && !l.Active {
			return &LayerError{l}
		}
	}
	if m.kind != kindReady {
		return fmt.Errorf("sandbox: the zone's report: %w", errPiece)
	}
	return nil
}

// breakOff ends a zone whose pipe is not to be trusted any more.
func (z *Zone) breakOff(err error) {
	z.mu.Lock()
	if z.broken == nil {
		z.broken = err
	}
	z.mu.Unlock()
	z.child.kill()
}

// Call has the zone's handler answer a request of at most [MaxPayload] bytes. Calls run concurrently. The request is
// not used any more when Call returns. The error is
//   - that of ctx, when it ends before the answer is there, however stuck the zone is; the handler may still run;
//   - a [*HandlerError], [ErrPanicked] or [ErrTooLarge], as the handler did;
//   - an [*EndedError], when the zone has ended or ends meanwhile: whether the handler has run is not known then.
func (z *Zone) Call(ctx context.Context, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer, _, err := z.call(ctx, request, false, false)
	return answer, err
}

// CallLong is Call for a request that is known to take long: no other waits behind it.
func (z *Zone) CallLong(ctx context.Context, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer, _, err := z.call(ctx, request, true, false)
	return answer, err
}

// CallOn is Call for a request whose answer must be known in the end. If ctx ends before it is there, wait is returned
// with the error of ctx; it waits on, and returns what Call would have. It must be called, once, and the request is in
// use until it returns. Else wait is nil. long is for a request such as those of CallLong.
func (z *Zone) CallOn(ctx context.Context, request []byte, long bool) (answer []byte, wait func() ([]byte, error), err error) {
	return z.call(ctx, request, long, true)
}

// call is all of them. on says that the answer is not given up.
func (z *Zone) call(ctx context.Context, request []byte, long, on bool) ([]byte, func() ([]byte, error), error) {
	if len(request) > MaxPayload {
		return nil, nil, ErrTooLarge
	}
	defer z.calls.Add(-1)
	if z.calls.Add(1) == 1 && z.quick && (!long || len(request) <= maxLone) {
		if answer, wait, err, done := z.child.quick.try(ctx, request, on); done {
			return answer, wait, err
		}
	}
	z.shared.Add(1)
	if long {
		return z.slow.call(ctx, request, on)
	}
	return z.pick().call(ctx, request, on)
}

// pick returns the lane with the fewest calls on it, of those where nothing takes long.
func (z *Zone) pick() *lane {
	lanes := z.lanes[:len(z.lanes)-1]
	from := int(z.turn.Add(1))
	best := lanes[from%len(lanes)]
	least := best.load.Load()
	for i := 1; i < len(lanes) && least > 0; i++ {
		l := lanes[(from+i)%len(lanes)]
		if n := l.load.Load(); n < least {
			best, least = l, n
		}
	}
	return best
}

// Done is closed when the process of the zone has ended and was waited for.
func (z *Zone) Done() <-chan struct{} { return z.done }

// Err is nil while the zone runs, and says why it ended afterwards: an [*EndedError].
func (z *Zone) Err() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err == nil {
		return nil
	}
	return z.err
}

// end waits for the end of a zone that is ending, and returns why.
func (z *Zone) end(ctx context.Context) error {
	select {
	case <-z.ended:
		return z.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Status tells what stands around the zone. It does not change during the zone's life.
func (z *Zone) Status() Status {
	s := z.status
	s.Layers = append([]Layer(nil), s.Layers...)
	return s
}

// Close ends the zone and returns when it has ended. Calls that are under way fail. The error is nil unless the zone
// had ended for another reason before. Further calls return the same.
func (z *Zone) Close() error {
	z.mu.Lock()
	first := !z.closed && z.err == nil
	z.closed = true
	z.mu.Unlock()
	if first {
		z.child.closeWriters()
		timer := time.AfterFunc(closeGrace, z.child.kill)
		defer timer.Stop()
	}
	<-z.done
	var ended *EndedError
	if err := z.Err(); errors.As(err, &ended) && ended.Reason != ReasonClosed {
		return err
	}
	return nil
}

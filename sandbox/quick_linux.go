package sandbox

import (
	"context"
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/sandbox/processor"
)

// A quickLane is a pipe pair for a caller who is alone. He writes his request and waits for the answer in the kernel
// himself, without a change of goroutine and without the poller, which costs half of the time that a round trip takes.
// Callers who meet share the other lanes, where many answers cost little more than one.
type quickLane struct {
	mu      sync.Mutex // held by the caller, and by drain after him
	r, w    int        // blocking, and not known to the poller
	wake    *os.File   // an eventfd, readable when the caller's context ends; a File, as it may come late
	wakeFD  int
	in      opener
	out     sealer
	b       []byte
	lastID  uint64
	z       *Zone
	isEnded bool

	choice processor.Choice
	shared uint32 // calls by other lanes that choice knows of
	zone   int    // the processor where the zone waits, as it was told
}

// maxQuick is the largest request for the quick lane. It fits into the empty pipe, so that no write blocks.
const maxQuick = 16 << 10

// quickPair makes the pipes of a quick lane and returns it with the zone's side.
func quickPair() (*quickLane, end, error) {
	var toZone, toParent [2]int
	if err := unix.Pipe2(toZone[:], unix.O_CLOEXEC); err != nil {
		return nil, end{}, os.NewSyscallError("pipe2", err)
	}
	if err := unix.Pipe2(toParent[:], unix.O_CLOEXEC); err != nil {
		unix.Close(toZone[0])
		unix.Close(toZone[1])
		return nil, end{}, os.NewSyscallError("pipe2", err)
	}
	q := &quickLane{r: toParent[0], w: toZone[1], zone: processor.None}
	zone := end{os.NewFile(uintptr(toZone[0]), "requests"), os.NewFile(uintptr(toParent[1]), "answers")}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(q.r)
		unix.Close(q.w)
		closeEnds([]end{zone})
		return nil, end{}, os.NewSyscallError("eventfd2", err)
	}
	q.wakeFD, q.wake = fd, os.NewFile(uintptr(fd), "eventfd")
	return q, zone, nil
}

func (q *quickLane) open(z *Zone, in, out sequence) {
	q.z = z
	q.in = opener{sequence: in, r: rawReader(q.r)}
	q.out = sealer{out}
}

// try sends a request and waits for the answer, unless the lane is in use. See [Zone.CallOn] for on and wait.
func (q *quickLane) try(ctx context.Context, request []byte, on bool) (answer []byte, wait func() ([]byte, error), err error, done bool) {
	if len(request) > maxQuick || !q.mu.TryLock() {
		return nil, nil, nil, false
	}
	if q.isEnded {
		q.mu.Unlock()
		return nil, nil, nil, false
	}
	ending := ctx // for how long the end of the zone is waited for
	if on {
		ending = context.Background()
	}
	q.lastID++
	deadline, _ := ctx.Deadline()
	q.b = newRecord(q.b)
	if shared := q.z.shared.Load(); shared != q.shared {
		q.shared = shared
		q.choice.Break()
	}
	if on && len(request) > maxLone {
		q.choice.Break()
	} else if n := q.choice.Next(time.Now()); n != processor.None {
		if n != q.zone {
			q.zone = n
			q.b = appendPiece(q.b, q.lastID, kindMove, 4, binary.LittleEndian.AppendUint32(nil, uint32(n)))
		}
		var keeper processor.Keeper
		q.choice.Keep(&keeper)
		defer keeper.Keep(processor.None)
	}
	q.b = appendRequest(q.b, q.lastID, timeLeft(deadline), request, timeHead+len(request))
	sealed, err := q.out.seal(q.b)
	if err != nil {
		q.mu.Unlock()
		q.z.breakOff(err)
		return nil, nil, q.z.end(ending), true
	}
	if _, err := rawWriter(q.w).Write(sealed); err != nil {
		q.mu.Unlock()
		q.fail(err)
		return nil, nil, q.z.end(ending), true
	}

	// Most answers come before a context could be told to wake this caller.
	came, watched := ctx.Done() != nil && q.comesSoon(deadline), false
	var m message
	for whole := false; !whole; came = false {
		if !came && ctx.Done() != nil {
			if !watched {
				watched = true
				defer context.AfterFunc(ctx, func() { q.wake.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) })()
			}
			if !q.wait(ctx) {
				if on {
					return nil, func() ([]byte, error) { return q.drain(m) }, ctx.Err(), true
				}
				go q.drain(m)
				return nil, nil, ctx.Err(), true
			}
		}
		if whole, err = q.read(&m); err != nil {
			q.mu.Unlock()
			q.fail(err)
			return nil, nil, q.z.end(ending), true
		}
	}
	q.mu.Unlock()
	answer, err = m.result()
	return answer, nil, err, true
}

// quickAnswer is how long a caller whose deadline is not near waits before he looks at his context, in milliseconds.
const quickAnswer = 8

// comesSoon waits for so long, and reports whether there is something to read.
func (q *quickLane) comesSoon(deadline time.Time) bool {
	if !deadline.IsZero() && time.Until(deadline) < 10*quickAnswer*time.Millisecond {
		return false
	}
	fds := [1]unix.PollFd{{Fd: int32(q.r), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], quickAnswer)
	return err == nil && n > 0 // also when the pipe has ended
}

// wait returns when there is something to read, or false when the context has ended.
func (q *quickLane) wait(ctx context.Context) bool {
	if q.in.buffered() {
		return true
	}
	for {
		fds := [2]unix.PollFd{{Fd: int32(q.r), Events: unix.POLLIN}, {Fd: int32(q.wakeFD), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds[:], -1); err != nil {
			if err == unix.EINTR {
				continue
			}
			panic("sandbox: internal error: poll: " + err.Error())
		}
		if fds[0].Revents != 0 {
			return true // also when the pipe has ended
		}
		// It may be that of the caller before, who was answered when his context ended.
		var b [8]byte
		unix.Read(q.wakeFD, b[:])
		if ctx.Err() != nil {
			return false
		}
	}
}

// read takes a record and reports whether the answer is whole.
func (q *quickLane) read(m *message) (whole bool, err error) {
	b, err := q.in.record()
	for err == nil && len(b) > 0 {
		var p piece
		p, b, err = cutPiece(b)
		if err == nil && (whole || p.id != q.lastID || p.kind < kindAnswer || p.kind > kindTooLarge) {
			err = errPiece
		}
		if err == nil {
			whole, err = m.add(p)
		}
	}
	return whole, err
}

// drain reads the rest of the answer that the caller did not wait for, and gives the lane back.
func (q *quickLane) drain(m message) ([]byte, error) {
	for whole := false; !whole; {
		var err error
		if whole, err = q.read(&m); err != nil {
			q.mu.Unlock()
			q.fail(err)
			return nil, q.z.end(context.Background())
		}
	}
	q.mu.Unlock()
	return m.result()
}

func (q *quickLane) fail(err error) {
	if isBroken(err) {
		q.z.breakOff(err)
		return
	}
	q.z.child.kill()
}

// close is called when the zone has ended, which everyone who waits sees.
func (q *quickLane) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isEnded {
		return
	}
	q.isEnded = true
	unix.Close(q.r)
	unix.Close(q.w)
	q.wake.Close()
}

package protocol

import (
	"runtime"
	"sync/atomic"
	"time"
)

// With one caller who asks again and again, a signature is a row of wake-ups, and
// everything else that wakes a thread adds to it. Two things of the Go runtime do:
//
//   - Its poller is told of each byte that comes or is read on a socket that it
//     watches, and has a thread of its own for that, mostly on another processor.
//     So who is alone waits in the kernel, on a socket that is not watched.
//   - Its monitor takes the processor from a goroutine that was not scheduled for
//     10 ms, and then looks every 20 µs for what else there is, for a while. Who
//     waits in the kernel is never scheduled. So he has himself scheduled first.

// A KernelWaiter is a stream that can do without the runtime's poller for a while.
type KernelWaiter interface {
	// WaitInKernel waits for something to be read, or the stream's end, for a few
	// milliseconds at most. It is for the one who reads.
	WaitInKernel()
}

// loneRun is how many requests in a row must be of one stream, so that its caller is alone.
const loneRun = 8

// requests are those that this process asks and answers.
var requests sequence

// A sequence says whether the last requests were all of one stream.
type sequence struct {
	stream atomic.Uint64
	run    atomic.Uint32
}

// streams numbers the streams of this process.
var streams atomic.Uint64

// next takes note of a request, and says whether its caller is alone.
func (s *sequence) next(stream uint64) bool {
	if s.stream.Load() != stream {
		s.stream.Store(stream)
		s.run.Store(0)
		return false
	}
	return s.run.Add(1) > loneRun
}

// inKernel is how many goroutines of this process wait in the kernel.
var inKernel atomic.Int32

// waitInKernel waits on w, unless the waiting would leave no processor to other goroutines.
func waitInKernel(w KernelWaiter) {
	if int(inKernel.Add(1)) < runtime.GOMAXPROCS(0) {
		w.WaitInKernel()
	}
	inKernel.Add(-1)
}

// A breather has a goroutine scheduled now and then.
type breather struct{ last time.Time }

const breath = 4 * time.Millisecond

func (b *breather) breathe(now time.Time) {
	if now.Sub(b.last) > breath {
		b.last = now
		runtime.Gosched()
	}
}

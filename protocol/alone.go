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
//
// And the kernel itself: asker and node never run at the same time, yet whoever is
// woken up is put on another processor than the waker's, one that has to come back
// from its sleep. So the asker keeps to a processor and says which in his frame, and
// the node waits there for his next request (sandbox/processor).

// A KernelWaiter is a stream that can do without the runtime's poller for a while.
type KernelWaiter interface {
	// WaitInKernel waits for something to be read, or the stream's end, for a few
	// milliseconds at most, and says whether it has come. It is for the one who reads.
	WaitInKernel() bool
	NewProcessor() Processor
}

// A Processor is where a goroutine waits, again and again. Its numbers are those of
// [Frame]: plus one, and 0 for none.
type Processor interface {
	Next() uint32 // where an asker who begins now should
	Keep(uint32)  // has the calling goroutine stay there, until it is called with 0
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
// It says whether there is something to be read.
func waitInKernel(w KernelWaiter) bool {
	defer inKernel.Add(-1)
	return int(inKernel.Add(1)) < runtime.GOMAXPROCS(0) && w.WaitInKernel()
}

// A lone is who waits in the kernel on a stream: an asker, or the one who reads
// requests.
type lone struct {
	kernel    KernelWaiter
	processor Processor
	breath    time.Time // when he was scheduled last
}

// newLone is nil for a stream that cannot do without the poller.
func newLone(stream any) *lone {
	w, ok := stream.(KernelWaiter)
	if !ok {
		return nil
	}
	return &lone{kernel: w, processor: w.NewProcessor()}
}

// leave ends the goroutine's stay on a processor.
func (l *lone) leave() {
	if l != nil {
		l.processor.Keep(0)
	}
}

const breath = 9 * time.Millisecond

// breathe has the goroutine scheduled now and then. It is not kept on a processor
// then, since its thread could not look for what else there is.
func (l *lone) breathe() {
	if now := time.Now(); now.Sub(l.breath) > breath {
		l.breath = now
		l.leave()
		runtime.Gosched()
	}
}

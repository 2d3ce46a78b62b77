package main

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// An output takes what a node says and hands it on from a goroutine of its own:
// whoever reads a log may be slow, stuck or gone, and the node goes on. What does
// not fit into its queue, or cannot be written, is lost and counted, and the count
// is told as soon as something can be told again. Each Write is a line of its own
// or several, and order is kept.
type output struct {
	to   io.Writer
	lost func(lines int) []byte // the line that tells of lost ones; nil: none does

	mu     sync.Mutex
	more   sync.Cond // there is something in what follows
	queue  []queued
	bytes  int
	missed int // behind the last one of the queue
	closed bool

	done chan struct{} // closed when all is written
}

// queued is a Write, and how many before it found no room.
type queued struct {
	text   []byte
	missed int
}

const (
	maxQueued  = 1 << 20     // bytes of an output's queue, with queuedSize for each
	queuedSize = 64          // what one takes besides its text
	lastWords  = time.Second // for how long an output that is closed is waited for
)

func newOutput(to io.Writer, lost func(lines int) []byte) *output {
	o := &output{to: to, lost: lost, done: make(chan struct{})}
	o.more.L = &o.mu
	go o.run()
	return o
}

// Write never waits, and never fails.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.bytes+len(b)+queuedSize > maxQueued {
		o.missed++
		return len(b), nil
	}
	o.queue = append(o.queue, queued{bytes.Clone(b), o.missed})
	o.bytes += len(b) + queuedSize
	o.missed = 0
	o.more.Signal()
	return len(b), nil
}

func (o *output) run() {
	defer close(o.done)
	untold, torn := 0, false
	write := func(b []byte) bool {
		if torn { // the line before ends in its middle
			b = append([]byte("\n"), b...)
		}
		n, err := o.to.Write(b)
		if n > 0 {
			torn = err != nil
		}
		return err == nil
	}
	for {
		next, ok := o.next()
		if !ok {
			return
		}
		untold += next.missed
		told := untold == 0 || o.lost == nil || write(o.lost(untold))
		if told {
			untold = 0
		}
		if next.text != nil && (!told || !write(next.text)) {
			untold++
		}
	}
}

// next waits for what is to be written: a text, a count of lost ones, or both.
func (o *output) next() (queued, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && o.missed == 0 && !o.closed {
		o.more.Wait()
	}
	if len(o.queue) == 0 {
		missed := o.missed
		o.missed = 0
		return queued{missed: missed}, missed > 0
	}
	next := o.queue[0]
	o.queue[0] = queued{} // lest it be kept
	o.queue = o.queue[1:]
	o.bytes -= len(next.text) + queuedSize
	return next, true
}

// close waits a bounded time until all is written.
func (o *output) close() {
	o.mu.Lock()
	o.closed = true
	o.more.Signal()
	o.mu.Unlock()
	select {
	case <-o.done:
	case <-time.After(lastWords):
	}
}

// detach has the rest of this run of the program, a node's, wait for nobody who
// reads stdout or stderr, and outlive him. What it returns ends that.
func (a *app) detach() (end func()) {
	// Heard by nobody, it does not end the process: writing fails instead.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	log := newOutput(a.stderr, func(lines int) []byte {
		var b bytes.Buffer
		a.logger(&b).Warn("log lines lost", "lines", lines)
		return b.Bytes()
	})
	data := newOutput(a.stdout, nil)
	a.stdout, a.stderr = data, log
	return func() {
		data.close()
		log.close()
		signal.Stop(broken)
	}
}

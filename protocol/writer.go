package protocol

import (
	"context"
	"io"
	"runtime"
	"sync"
	"time"
)

// deadliner is what net.Conn and libp2p streams have in common here.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// frameWriter joins frames that are written at the same time into one write.
// A goroutine lives only as long as something is unsent: an idle stream has
// none, and no asker is kept busy writing for others.
type frameWriter struct {
	w       io.WriteCloser
	quick   quickWriter // nil where a write cannot be tried without waiting
	timeout time.Duration

	mu       sync.Mutex
	changed  sync.Cond // unsent, flushing or err
	unsent   []byte
	gone     []func() // to be called when what is unsent has left, or never will
	spare    []byte
	flushing bool
	err      error
}

// A quickWriter writes what the stream takes at once, and waits for nothing. An
// error means that nothing was written and nothing can be.
type quickWriter interface {
	TryWrite(b []byte) (n int, err error)
}

func newFrameWriter(w io.WriteCloser) *frameWriter {
	fw := &frameWriter{w: w, quick: quickWriterOf(w), timeout: DefaultFrameTimeout}
	fw.changed.L = &fw.mu
	return fw
}

// write takes f to be sent. After an error nothing of f leaves; else gone is called, if
// it is not nil, when all of f has, or nothing does any more. It is not to wait.
func (fw *frameWriter) write(ctx context.Context, f *Frame, gone func()) error {
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
	if gone != nil {
		fw.gone = append(fw.gone, gone)
	}
	if !fw.flushing {
		fw.flushing = true
		go fw.flush() // close waits for it
	}
	return nil
}

// writeNow is write for one who is alone on the stream: he writes f himself, as
// waking a goroutine for it takes longer than writing. It does not wait for room,
// but reports false if something is unsent, and takes nothing then. Only if
// mayWait says that the caller may be kept for as long as a write has does it
// wait for the stream; else what the stream does not take at once is left to a
// goroutine.
func (fw *frameWriter) writeNow(f *Frame, mayWait bool, gone func()) (taken bool, err error) {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	switch {
	case fw.err != nil:
		return true, fw.err
	case fw.flushing:
		return false, nil
	}
	if fw.unsent, err = AppendFrame(fw.unsent, f); err != nil {
		return true, err
	}
	if gone != nil {
		fw.gone = append(fw.gone, gone)
	}
	fw.flushing = true
	switch {
	case fw.quick != nil:
		b, gone := fw.take()
		fw.mu.Unlock()
		n, err := fw.quick.TryWrite(b)
		if err != nil {
			fw.w.Close() // the reader must notice too
		}
		fw.mu.Lock()
		switch {
		case err != nil:
			if fw.err == nil {
				fw.err = err
			}
			_, gone := fw.take() // of those who joined meanwhile: the caller hears of his own
			call(gone)
			fw.flushing = false
			fw.changed.Broadcast()
			return true, fw.err
		case n < len(b):
			fw.unsent, fw.gone = append(b[n:], fw.unsent...), append(gone, fw.gone...)
		default:
			fw.keep(b)
			call(gone)
		}
	case mayWait:
		fw.send()
	}
	if fw.err != nil || len(fw.unsent) == 0 {
		fw.flushing = false
		fw.changed.Broadcast()
		return true, nil
	}
	go fw.flush() // close waits for it
	return true, nil
}

func (fw *frameWriter) flush() {
	runtime.Gosched() // who is about to write may join
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for fw.err == nil && len(fw.unsent) > 0 {
		fw.send()
	}
	if fw.err != nil {
		_, gone := fw.take()
		call(gone)
	}
	fw.flushing = false
	fw.changed.Broadcast()
}

// send writes what is unsent, within the timeout. fw.mu is held, but not
// meanwhile; flushing is set.
func (fw *frameWriter) send() {
	b, gone := fw.take()
	fw.mu.Unlock()
	if d, ok := fw.w.(deadliner); ok {
		d.SetWriteDeadline(time.Now().Add(fw.timeout))
	}
	_, err := fw.w.Write(b)
	if err != nil {
		fw.w.Close() // the reader must notice too
	}
	call(gone)
	fw.mu.Lock()
	if fw.err == nil {
		fw.err = err
	}
	fw.keep(b)
	fw.changed.Broadcast()
}

func call(all []func()) {
	for _, f := range all {
		f()
	}
}

// take takes what is unsent, to be written.
func (fw *frameWriter) take() (b []byte, gone []func()) {
	b, gone = fw.unsent, fw.gone
	fw.unsent, fw.spare, fw.gone = fw.spare[:0], nil, nil
	return b, gone
}

// keep keeps a buffer that was written, if it is small, for what comes.
func (fw *frameWriter) keep(b []byte) {
	if cap(b) <= readBuffer*4 {
		fw.spare = b[:0]
	}
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

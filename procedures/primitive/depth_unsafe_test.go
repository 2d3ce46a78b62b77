package primitive

import (
	"runtime/debug"
	"testing"
	"unsafe"
)

const (
	paintedStack = 96 << 10
	paint        = 0xc3
)

// paintStack fills the stack below its caller's frame with a pattern.
//
//go:noinline
func paintStack() {
	var room [paintedStack]byte
	for i := range room {
		room[i] = paint
	}
	keep(&room[0])
}

// usedStack returns how far below its caller's frame the pattern is broken, in bytes.
//
//go:noinline
func usedStack() int {
	var here byte
	for i := paintedStack - 4096; i > 0; i-- {
		if *(*byte)(unsafe.Add(unsafe.Pointer(&here), -i)) != paint {
			return i
		}
	}
	return 0
}

//go:noinline
func keep(*byte) {}

// The package comment promises 16 KiB, and the erasers of callers count on it.
func TestStackDepth(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes frames larger, and forbids to look")
	}
	// A collection in between could shrink the stack.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	work := newWork(make([]byte, workSize), [32]byte{1})
	for _, op := range operations {
		depth := make(chan int)
		go func() {
			op.run(work) // what is made once, tables and lists, is not counted
			paintStack()
			op.run(work)
			depth <- usedStack()
		}()
		if n := <-depth; n < 100 || n > 16<<10 {
			t.Errorf("%s uses %d bytes of stack", op.name, n)
		} else {
			t.Logf("%s: %d", op.name, n)
		}
	}
}

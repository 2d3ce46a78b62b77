package memory

import (
	"errors"
	"testing"
)

func TestWipe(t *testing.T) {
	b := []byte{1, 2, 3}
	Wipe(b)
	Wipe(nil)
	if b[0]|b[1]|b[2] != 0 {
		t.Fatal(b)
	}
}

// leave puts a pattern on the stack, as a function that works with a secret does, down to depth frames.
//
//go:noinline
func leave(depth int) byte {
	var b [256]byte
	for i := range b {
		b[i] = 0xc3
	}
	if depth > 0 {
		b[0] = leave(depth - 1)
	}
	return b[0] & b[255]
}

func TestEraseOverwritesTheStack(t *testing.T) {
	done := make(chan struct{})
	go func() { // on a stack of its own, small at first
		defer close(done)
		// The control: without Erase the pattern is there. Grown first, else it is left in the old stack.
		growStack()
		leave(40)
		if n := residue(); n < 256 {
			t.Errorf("the control found %d bytes of the pattern: this test shows nothing", n)
		}
		overwriteStack()
		Erase(func() { leave(40) })
		if n := residue(); n != 0 {
			t.Errorf("%d bytes of the pattern are left on the stack", n)
		}
	}()
	<-done
}

func TestErasePanics(t *testing.T) {
	want := errors.New("from inside")
	defer func() {
		if got := recover(); got != want {
			t.Errorf("recovered %v", got)
		}
		if n := residue(); n != 0 {
			t.Errorf("%d bytes of the pattern are left on the stack", n)
		}
	}()
	Erase(func() {
		leave(10)
		panic(want)
	})
}

func TestEraseNests(t *testing.T) {
	calls := 0
	Erase(func() { Erase(func() { calls++ }); calls++ })
	if calls != 2 {
		t.Fatal(calls)
	}
}

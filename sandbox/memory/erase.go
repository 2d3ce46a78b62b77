package memory

import "runtime"

// Wipe overwrites b with zeros. The compiler does not drop it, however dead b is afterwards.
//
//go:noinline
func Wipe(b []byte) {
	clear(b)
	runtime.KeepAlive(b)
}

// Erase calls f and leaves nothing of what f had on the stack and in the registers. With GOEXPERIMENT=runtimesecret f
// runs inside runtime/secret.Do, which also has its heap allocations erased when they are collected. Without, the
// stack is grown first, because a stack that grows during f leaves its old copy behind; 32 KiB of it are overwritten
// afterwards, and the registers are cleared on amd64 and arm64. Two things are left to the caller then: what f puts on
// the heap, and that the runtime does not copy or save the stack meanwhile (GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1,
// as the zone has it).
//
// A panic of f goes on after the erasure. f must not call runtime.Goexit.
func Erase(f func()) { erase(f) }

// eraseByHand is Erase without the help of the runtime.
func eraseByHand(f func()) {
	growStack()
	panicked, value := caught(f)
	overwriteStack()
	clearRegisters()
	if panicked {
		panic(value)
	}
}

// caught calls f and catches its panic, because a deferred function of a panicking one runs below its frames on the
// stack and could not overwrite them.
//
//go:noinline
func caught(f func()) (panicked bool, value any) {
	panicked = true
	defer func() {
		if panicked {
			value = recover()
		}
	}()
	f()
	return false, nil
}

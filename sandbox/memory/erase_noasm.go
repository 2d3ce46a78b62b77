//go:build !amd64 && !arm64

package memory

// stackSize is how much of the stack Erase gives to a function and overwrites afterwards, in bytes.
const stackSize = 32 << 10

// growStack has room for f and for the frames around it when it returns.
//
//go:noinline
func growStack() {
	var room [stackSize + 4096]byte
	touch(&room[0])
}

// overwriteStack is called from the same frame as f was, so that its variable, which starts as zeros, lies where the
// frames of f lay.
//
//go:noinline
func overwriteStack() {
	var old [stackSize]byte
	touch(&old[0])
}

//go:noinline
func touch(b *byte) { *b = 0 }

// clearRegisters does nothing on this architecture.
func clearRegisters() {}

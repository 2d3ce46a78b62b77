//go:build amd64 || arm64

package memory

// Written in assembly, because Go zeroes a variable before it is used, and so twice.

// growStack has room for f and for the frames around it when it returns.
func growStack()

// overwriteStack is called from the same frame as f was, so that its 32 KiB lie where the frames of f lay.
func overwriteStack()

// clearRegisters zeroes every register that a Go function may use, those of vectors in their full width.
func clearRegisters()

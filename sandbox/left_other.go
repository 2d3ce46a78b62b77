//go:build !linux

package sandbox

// memoryLeft is known on Linux only (left_linux.go).
func memoryLeft() uint64 { return 0 }

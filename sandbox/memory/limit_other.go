//go:build !linux

package memory

// RaiseLimit is for Linux (limit_linux.go).
func RaiseLimit() {}

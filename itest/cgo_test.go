//go:build cgo

package itest

// cgo says that the program these tests build has a C library in it.
const cgo = true

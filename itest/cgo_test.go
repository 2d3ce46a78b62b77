//go:build cgo

package itest

// cgo says that the program these tests build has a zone without its filter.
const cgo = true

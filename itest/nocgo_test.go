//go:build !cgo

package itest

const cgo = false

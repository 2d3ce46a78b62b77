//go:build !linux

package sandbox

import "context"

// A quickLane is for Linux only (quick_linux.go).
type quickLane struct{}

func (*quickLane) open(*Zone, sequence, sequence) {}

func (*quickLane) try(context.Context, []byte, bool) ([]byte, func() ([]byte, error), error, bool) {
	return nil, nil, nil, false
}

func (*quickLane) close() {}

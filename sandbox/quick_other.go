//go:build !linux

package sandbox

import "context"

// A quickLane is for Linux only (quick_linux.go).
type quickLane struct{}

func (*quickLane) open(*Zone, sequence, sequence) {}

func (*quickLane) try(context.Context, []byte) ([]byte, error, bool) { return nil, nil, false }

func (*quickLane) close() {}

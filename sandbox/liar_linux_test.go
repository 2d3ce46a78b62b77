package sandbox

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A zone that was taken over, and writes to its answers what it likes.
func init() {
	const firstAnswer = firstPipe + 3 // with one worker: its requests, the long and the quick ones, then the answers to each
	Gate("liar", 1, func(Inside) (Handler, error) {
		return func(_ context.Context, request []byte) ([]byte, error) {
			for fd := range 3 {
				unix.Write(firstAnswer+fd, request[1:])
			}
			if request[0] == 'x' {
				exit(0)
			}
			return nil, nil
		}, nil
	})
}

// Answers that were not sealed end the zone, and the call fails; the parent goes on.
func TestLyingZone(t *testing.T) {
	for name, request := range map[string][]byte{
		"garbage":            append([]byte{'g'}, bytes.Repeat([]byte("garbage "), 100)...),
		"too long":           {'g', 0xff, 0xff, 0xff, 0xff},
		"too short":          {'g', overhead, 0, 0, 0},
		"not sealed":         append([]byte{'g', 100, 0, 0, 0}, make([]byte, 100)...),
		"cut, and then gone": append([]byte{'x', 100, 0, 0, 0}, make([]byte, 50)...),
	} {
		t.Run(name, func(t *testing.T) {
			for _, quick := range []bool{true, false} {
				z := start(t, Config{Name: "liar", Workers: 1})
				var err error
				if quick {
					_, err = z.Call(t.Context(), request)
				} else {
					_, _, err = z.lanes[0].call(t.Context(), request, false)
				}
				if !errors.Is(err, ErrEnded) {
					t.Errorf("on a quick lane: %v: a call: %v", quick, err)
				}
				if ended := waitForEnd(t, z); ended.Reason != ReasonPipe && request[0] != 'x' {
					t.Errorf("on a quick lane: %v: ended with %v", quick, ended)
				}
			}
		})
	}
}

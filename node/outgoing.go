package node

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// outgoing is a stream by which this node asks a peer. An asker who is alone on it
// writes to it and reads from it himself: protocol.Conn has him do so where a write
// can be tried. Else his request and his answer would go through two goroutines
// more, and each hand-over wakes a thread.
type outgoing struct {
	network.Stream
	writeBy time.Time // for whoever writes
}

// A write that is tried waits for the peer to read no longer than this.
const (
	tryFor     = 10 * time.Millisecond
	tryAtLeast = 5 * time.Millisecond // a deadline is good for many writes, since each is a timer
	tryAtMost  = 16 << 10             // bytes; more may well have to wait
)

func (s *outgoing) SetWriteDeadline(t time.Time) error {
	s.writeBy = t
	return s.Stream.SetWriteDeadline(t)
}

// TryWrite writes what the stream takes without waiting, or almost.
func (s *outgoing) TryWrite(b []byte) (int, error) {
	if len(b) > tryAtMost {
		return 0, nil
	}
	now := time.Now()
	if left := s.writeBy.Sub(now); left < tryAtLeast || left > tryFor {
		if err := s.SetWriteDeadline(now.Add(tryFor)); err != nil {
			return 0, err
		}
	}
	n, err := s.Write(b)
	var timeout interface{ Timeout() bool }
	if n > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		return n, nil // of what is left, whoever writes it finds out
	}
	return 0, err
}

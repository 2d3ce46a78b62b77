package protocol

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// looks counts how often it was looked at.
type looks struct{ n, left atomic.Int64 }

func newLooks(left int64) *looks {
	l := new(looks)
	l.left.Store(left)
	return l
}

func (l *looks) look() bool {
	l.n.Add(1)
	return l.left.Add(-1) > 0
}

// TestOverseer: it looks often at what could keep others waiting, seldom where nobody else is there, and not at all
// where there is nothing to look at.
func TestOverseer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		defer requests.next(streams.Add(1))
		during := func(d time.Duration, l *looks) int64 {
			before := l.n.Load()
			time.Sleep(d)
			synctest.Wait() // for a look of this moment
			return l.n.Load() - before
		}
		l := newLooks(1000)
		processOverseer.watch(l)
		for _, alone := range []bool{false, true, false} {
			requests.next(streams.Add(1))
			if alone {
				for id := streams.Add(1); !requests.next(id); {
				}
			}
			during(lonePatience, l) // until the timer is set anew
			want := int64(time.Second / patience)
			if alone {
				want = int64(time.Second / lonePatience)
			}
			if n := during(time.Second, l); n < want-1 || n > want+1 {
				t.Errorf("alone %t: %d looks in a second, want %d", alone, n, want)
			}
		}
		other := newLooks(3)
		processOverseer.watch(other)
		during(time.Hour, other)
		processOverseer.mu.Lock()
		armed := processOverseer.armed
		processOverseer.mu.Unlock()
		if l.n.Load() != 1000 || other.n.Load() != 3 || armed {
			t.Errorf("%d and %d looks; a timer is set: %t", l.n.Load(), other.n.Load(), armed)
		}
		other.left.Store(2)
		processOverseer.watch(other)
		if n := during(time.Second, other); n != 2 {
			t.Errorf("watched again: %d looks", n)
		}
	})
}

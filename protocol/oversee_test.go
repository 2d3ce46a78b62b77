package protocol

import (
	"testing"
	"time"
)

// looks counts how often it was looked at.
type looks struct{ n, left int }

func (l *looks) look() bool {
	l.n++
	l.left--
	return l.left > 0
}

// TestOverseer: it looks often at what could keep others waiting, seldom where nobody else is there, and not at all
// where there is nothing to look at.
func TestOverseer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		defer requests.next(streams.Add(1))
		during := func(d time.Duration, l *looks) int {
			before := l.n
			time.Sleep(d)
			return l.n - before
		}
		l := &looks{left: 1000}
		processOverseer.watch(l)
		for _, alone := range []bool{false, true, false} {
			requests.next(streams.Add(1))
			if alone {
				for id := streams.Add(1); !requests.next(id); {
				}
			}
			time.Sleep(lonePatience)
			want := int(time.Second / patience)
			if alone {
				want = int(time.Second / lonePatience)
			}
			if n := during(time.Second, l); n < want-1 || n > want+1 {
				t.Errorf("alone %t: %d looks in a second, want %d", alone, n, want)
			}
		}
		other := &looks{left: 3}
		processOverseer.watch(other)
		time.Sleep(time.Hour)
		if l.n != 1000 || other.n != 3 || processOverseer.armed {
			t.Errorf("%d and %d looks; a timer is set: %t", l.n, other.n, processOverseer.armed)
		}
		other.left = 2
		processOverseer.watch(other)
		if n := during(time.Second, other); n != 2 {
			t.Errorf("watched again: %d looks", n)
		}
	})
}

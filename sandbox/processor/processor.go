// Package processor has a caller and the process that answers him wait for each other on one processor.
//
// The two never run at the same time. Yet Linux looks for an idle processor for whoever it wakes up, and so finds
// another one than the waker's, at each turn: one that sleeps, and takes several times as long to come back as a
// change of processes on the same one does. So they agree where to wait, and are found there.
package processor

import (
	"runtime"
	"time"
)

// None is in place of a processor's number where there is no such agreement.
const None = -1

const (
	inARow = 5 * time.Millisecond  // calls that are further apart gain nothing
	lasts  = 50 * time.Millisecond // then one call has the kernel choose anew: others may have come to this processor
	enough = 8                     // calls in a row, before it is supposed that they go on
	moves  = 4                     // after so many calls from elsewhere, that is where the caller is
)

// A Choice is where a caller waits, call after call. It is for one goroutine at a time.
type Choice struct {
	calls        int // in a row
	at, away     int // at is plus one; zero before there is one
	stays        bool
	since, asked time.Time
}

// Next returns the processor that the caller of a call beginning now should wait on: the one that he is on, or None.
func (c *Choice) Next(now time.Time) int { return c.next(now, here()) }

// Keep is k.Keep of what Next has returned, unless that was in vain the last time: a caller whose thread is on one
// processor anyway is spared to have it looked at for each call.
func (c *Choice) Keep(k *Keeper) {
	if !c.stays {
		c.stays = !k.Keep(c.at - 1)
	}
}

// Break says that the next call is not in a row with those before.
func (c *Choice) Break() { c.calls = 0; c.leave() }

func (c *Choice) leave() { c.at, c.stays = 0, false }

func (c *Choice) next(now time.Time, here int) int {
	if now.Sub(c.asked) > inARow {
		c.Break()
	}
	c.asked = now
	switch {
	case c.calls < enough:
		c.calls++
		return None
	case here == None || c.at != 0 && now.Sub(c.since) > lasts:
		c.leave()
		return None
	case c.at == here+1:
		c.away = 0
	case c.at != 0 && c.away < moves:
		c.away++
		return None
	default:
		c.leave()
		c.at, c.away, c.since = here+1, 0, now
	}
	return here
}

// A Keeper keeps a goroutine on its thread, and that on a processor. It is for that goroutine.
type Keeper struct {
	// Within, if it is set, are the processors that every thread of this process may use, for one that may not ask.
	Within *Set

	at     int // plus one
	before Set
}

// Keep keeps the calling goroutine on a processor until the next call, or not any more, for None. The goroutine should
// do little else than wait. Nothing happens where it may not be kept there, or is kept by somebody else: that is false.
func (k *Keeper) Keep(n int) bool {
	if k.at == n+1 {
		return true
	}
	if k.at != 0 {
		k.at = 0
		if !k.before.use() {
			all().use() // those of before were taken from this process
		}
		runtime.UnlockOSThread()
	}
	if n == None {
		return true
	}
	runtime.LockOSThread()
	if !k.begin(n) {
		runtime.UnlockOSThread()
		return false
	}
	k.at = n + 1
	return true
}

func (k *Keeper) begin(n int) bool {
	if k.Within != nil {
		k.before = *k.Within
	} else if !k.before.get() {
		return false
	}
	return k.before.hasOthers(n) && only(n).use()
}

// Allowed are the processors that the calling thread may use, or nil where that cannot be told.
func Allowed() *Set {
	s := new(Set)
	if !s.get() {
		return nil
	}
	return s
}

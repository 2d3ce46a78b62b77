package protocol

import (
	"sync"
	"time"
)

const (
	patience     = 5 * time.Millisecond  // what takes longer than two or three of it is not waited for by others
	lonePatience = 20 * time.Millisecond // the same where the last requests were all of one stream
)

// An overseer looks now and then at everything that could take long, while there
// is anything. It is one for all, and looks seldom while one stream is all there is,
// since each look wakes a thread, which takes as long as a signature does. Mostly that
// is the stream of one asker, behind whom nobody waits.
type overseer struct {
	mu      sync.Mutex
	armed   bool
	watched []overseen
}

// An overseen says whether it is to be looked at again.
type overseen interface{ look() bool }

// processOverseer is for every stream of this process.
var processOverseer = new(overseer)

// watch has w looked at soon.
func (o *overseer) watch(w overseen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watched = append(o.watched, w)
	o.arm()
}

// arm sets the timer, if there is something to look at. o.mu is held.
func (o *overseer) arm() {
	if o.armed || len(o.watched) == 0 {
		return
	}
	o.armed = true
	after := patience
	if requests.run.Load() > loneRun {
		after = lonePatience
	}
	time.AfterFunc(after, o.look)
}

func (o *overseer) look() {
	o.mu.Lock()
	watched := o.watched
	o.watched = nil
	o.mu.Unlock()
	again := watched[:0]
	for _, w := range watched {
		if w.look() {
			again = append(again, w)
		}
	}
	clear(watched[len(again):])
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watched = append(again, o.watched...)
	o.armed = false
	o.arm()
}

package control

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/stronghold-go/stronghold/protocol"
)

// slots are the connections that are served. Whoever comes when all are taken
// gets the place of one on which nothing is under way: of the process that has
// most, the one that was used least lately. A program that forgets to close its
// connections so loses them, and keeps out neither others nor the person who
// wants to lock the node. Where all are at work, there is one place more.
type slots struct {
	mu    sync.Mutex
	of    map[int]int // how many a process has
	all   map[*slot]bool
	taken atomic.Uint64 // so many connections came so far
}

// A slot is one connection.
type slot struct {
	stream  io.Closer
	process int

	working atomic.Int32  // requests under way; far below zero once the slot is another's
	used    atomic.Uint64 // what taken was when a request began
}

// gone is what working is less than once the slot is another's.
const gone = -1 << 30

// take gives a connection a slot, and nil if there is none.
func (s *slots) take(stream io.Closer, process int) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxConns && !s.clear() && len(s.all) > maxConns {
		return nil
	}
	if s.all == nil {
		s.all, s.of = make(map[*slot]bool), make(map[int]int)
	}
	c := &slot{stream: stream, process: process}
	c.used.Store(s.taken.Add(1))
	s.all[c] = true
	s.of[process]++
	return c
}

// clear closes a connection on which nothing is under way, if there is one. s.mu
// is held.
func (s *slots) clear() bool {
	for {
		var oldest *slot
		for c := range s.all {
			if c.working.Load() != 0 {
				continue
			}
			if n := s.of[c.process]; oldest == nil || n > s.of[oldest.process] ||
				n == s.of[oldest.process] && c.used.Load() < oldest.used.Load() {
				oldest = c
			}
		}
		if oldest == nil {
			return false
		}
		if oldest.working.CompareAndSwap(0, gone) { // else a request has just begun
			s.drop(oldest)
			oldest.stream.Close()
			return true
		}
	}
}

// free gives a slot back.
func (s *slots) free(c *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

// drop forgets a slot, once. s.mu is held.
func (s *slots) drop(c *slot) {
	if !s.all[c] {
		return
	}
	delete(s.all, c)
	if s.of[c.process]--; s.of[c.process] == 0 {
		delete(s.of, c.process)
	}
}

// begin and end are around each request. What comes on a connection that is closed
// by then must not be done: nobody would hear of it.
func (s *slots) begin(c *slot) *protocol.Response {
	if c.working.Add(1) <= 0 {
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "too many connections: this one was closed for another")
	}
	c.used.Store(s.taken.Load())
	return nil
}

func (s *slots) end(c *slot) { c.working.Add(-1) }

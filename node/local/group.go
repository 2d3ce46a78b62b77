package local

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/stronghold-go/stronghold/protocol"
)

// Changes that come while others are under way stand in a queue, and those that have
// gathered there are staged together, in one request to the zone: so what it costs to
// go there and back is paid once for all of them. What takes long to stage has a queue
// of its own, so that nothing else stands behind it.

const (
	maxJoins = 4 << 10  // bytes of a request that is staged with others
	maxGroup = 16 << 10 // of all of them
)

// queue is changes that are to be staged together.
type queue struct {
	changes []*change
	staging bool // a goroutine stages what has queued: two at once are not faster
	long    bool
}

// line puts a change in its queue, and sees to it that somebody takes it out. j.mu is held.
func (j *journal) line(ch *change) {
	q := &j.brief
	if ch.long {
		q = &j.long
	}
	q.changes = append(q.changes, ch)
	if !q.staging {
		q.staging = true
		j.running.Go(func() { j.stageQueued(q) })
	}
}

// stageQueued stages what has queued, until nothing has.
func (j *journal) stageQueued(q *queue) {
	for {
		runtime.Gosched() // let those who were answered together ask together
		j.gate.RLock()
		j.mu.Lock()
		group := q.takeGroup()
		if group == nil {
			q.staging = false
			j.mu.Unlock()
			j.gate.RUnlock()
			return
		}
		closing := j.closing
		j.mu.Unlock()
		if closing {
			j.answer(group, refuseLocking())
			j.gate.RUnlock()
			continue
		}
		answers, err := j.stageGroup(group, q.long)
		j.staged(group, answers, err)
	}
}

// takeGroup takes as many changes out of the queue as fit in one request. j.mu is held.
func (q *queue) takeGroup() []*change {
	n, size := 0, 0
	for n < len(q.changes) && n < protocol.MaxStaged && size+len(q.changes[n].req) <= maxGroup {
		size += len(q.changes[n].req)
		n++
	}
	group := q.changes[:n:n]
	if q.changes = q.changes[n:]; len(q.changes) == 0 {
		q.changes = nil
	}
	return group
}

// stageGroup has the zone stage changes, and returns its answer to each. The error is
// of all of them.
func (j *journal) stageGroup(group []*change, long bool) ([]*protocol.Response, error) {
	answers := make([]*protocol.Response, len(group))
	b, err := protocol.Marshal(&protocol.Request{Id: protocol.NewID(), Operation: "zone.stage"})
	if err != nil {
		return answers, err
	}
	size := protocol.StepHead // as much is told besides
	for _, ch := range group {
		size += protocol.StepHead + len(ch.req)
	}
	b = slices.Grow(b, size)
	for _, ch := range group {
		b = protocol.AppendStep(b, ch.req)
	}
	answer, _, err := j.zone.must(context.Background(), b, long)
	resp, err := decode(answer, err)
	switch {
	case err != nil:
	case resp.Status != protocol.Status_OK: // of all
		for i := range answers {
			answers[i] = protocol.Refuse(resp.Status, resp.Detail)
		}
	case len(resp.Results) != len(group):
		err = fmt.Errorf("local: %d answers to %d changes", len(resp.Results), len(group))
	default:
		answers = resp.Results
	}
	return answers, err
}

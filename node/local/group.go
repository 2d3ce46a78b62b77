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
// go there and back is paid once for all of them.

const (
	maxJoins = 4 << 10  // bytes of a request that is staged with others
	maxGroup = 16 << 10 // of all of them
)

// line puts a change in the queue, and sees to it that somebody takes it out. j.mu is held.
func (j *journal) line(ch *change) {
	j.queue = append(j.queue, ch)
	if !j.staging {
		j.staging = true
		j.running.Go(j.stageQueued)
	}
}

// stageQueued stages what has queued, until nothing has.
func (j *journal) stageQueued() {
	for {
		runtime.Gosched() // let those who were answered together ask together
		j.gate.RLock()
		j.mu.Lock()
		group := j.takeGroup()
		if group == nil {
			j.staging = false
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
		answers, err := j.stageGroup(group)
		j.staged(group, answers, err)
	}
}

// takeGroup takes as many changes out of the queue as fit in one request. j.mu is held.
func (j *journal) takeGroup() []*change {
	n, size := 0, 0
	for n < len(j.queue) && n < protocol.MaxStaged && size+len(j.queue[n].req) <= maxGroup {
		size += len(j.queue[n].req)
		n++
	}
	group := j.queue[:n:n]
	if j.queue = j.queue[n:]; len(j.queue) == 0 {
		j.queue = nil
	}
	return group
}

// stageGroup has the zone stage changes, and returns its answer to each. The error is
// of all of them.
func (j *journal) stageGroup(group []*change) ([]*protocol.Response, error) {
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
	answer, _, err := j.zone.must(context.Background(), b, false)
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

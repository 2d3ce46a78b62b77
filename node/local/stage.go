package local

import (
	"context"
	"errors"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// change is one that somebody waits for.
type change struct {
	req    []byte    // encoded
	joins  bool      // it may be staged together with others
	long   bool      // it takes long to stage
	staged func()    // called when the zone has done with it; may be nil
	spent  *spending // of a peer; nil: of the local user

	// Once it is staged, on its way to the disk.
	seq   uint64
	entry []byte
	takes bool             // something away: nobody may find it once this is answered, however early he asked
	makes *protocol.Change // more of; nil if spent is
	resp  *protocol.Response

	done chan *protocol.Response // the answer
}

// change stages what a request asks for, and answers when it is on the disk, or
// when ctx ends. What is staged goes on, since it must be committed or aborted:
// done is called when nothing of it is being staged any more.
func (j *journal) change(ctx context.Context, ch *change, done func()) *protocol.Response {
	ch.done = make(chan *protocol.Response, 1)
	j.mu.Lock()
	j.under++
	joins := ch.joins && j.under > 1 && len(ch.req) <= maxJoins
	if joins {
		j.line(ch)
	}
	j.mu.Unlock()
	if joins {
		done()
	} else if !j.stageAlone(ctx, ch, done) {
		return tooLate()
	}
	select {
	case resp := <-ch.done:
		return resp
	case <-ctx.Done():
	}
	return tooLate()
}

// answer lets the asker go.
func (ch *change) answer(resp *protocol.Response) {
	ch.spent.end(resp.Status == protocol.Status_OK, ch.makes)
	ch.done <- resp
}

func tooLate() *protocol.Response {
	return protocol.Refuse(protocol.Status_OUTCOME_UNKNOWN, "it took longer than the asker waits")
}

// stageAlone stages one change, or reports false if ctx ended before that was done: it
// is waited for elsewhere then.
func (j *journal) stageAlone(ctx context.Context, ch *change, done func()) bool {
	j.gate.RLock()
	b, wait, err := j.zone.must(ctx, ch.req, ch.long)
	if wait == nil {
		defer done()
		resp, err := decode(b, err)
		j.staged([]*change{ch}, []*protocol.Response{resp}, err)
		return true
	}
	go func() {
		defer done()
		b, err := wait()
		resp, err := decode(b, err)
		j.staged([]*change{ch}, []*protocol.Response{resp}, err)
	}()
	return false
}

// staged puts what the zone has staged in line for the disk, and answers the rest. The
// error is of all of them. j.gate is held for reading, and given up here.
func (j *journal) staged(group []*change, answers []*protocol.Response, err error) {
	var refuse func() *protocol.Response
	switch {
	case errors.Is(err, sandbox.ErrEnded):
		refuse = refuseEnded
	case err != nil:
		j.log.Error("changes not staged", "changes", len(group), "error", err)
		refuse = func() *protocol.Response { return protocol.Refuse(protocol.Status_INTERNAL, "nothing was changed") }
	}
	var last *change
	answered := 0
	j.mu.Lock()
	j.hole = j.hole || err != nil && !errors.Is(err, sandbox.ErrEnded)
	for i, ch := range group {
		if ch.resp = answers[i]; err != nil {
			ch.resp = refuse()
		}
		if ch.staged != nil {
			ch.staged()
		}
		switch c := ch.resp.Change; {
		case c == nil:
			ch.answer(ch.resp)
			answered++
		case j.closing:
			ch.answer(refuseLocking())
			answered++
		case len(c.Entry) == 0: // it changes nothing, and rests on a change that does
			ch.seq, ch.resp.Change = c.Sequence, nil
			j.resting = append(j.resting, ch)
		default:
			ch.seq, ch.entry, ch.takes, ch.resp.Change = c.Sequence, c.Entry, c.Takes, nil
			if ch.spent != nil {
				ch.makes = c
			}
			j.waiting[ch.seq] = ch
			last = ch
		}
	}
	j.under -= answered
	j.answerResting()
	j.mu.Unlock()
	j.gate.RUnlock()
	if last == nil || !j.writeAlone(last) {
		kick(j.wake) // also if there is nothing to write: somebody may have waited for it
	}
}

func refuseEnded() *protocol.Response {
	return protocol.Refuse(protocol.Status_LOCKED, "the zone has ended; nothing was changed")
}

func refuseLocking() *protocol.Response {
	return protocol.Refuse(protocol.Status_LOCKED, "it was locked meanwhile; nothing was changed")
}

// writeAlone writes a change if nobody else has one under way: to wake run, and
// to be woken by it, takes as long as the zone did. What is to be committed before it
// is answered is for run, since a zone that is stuck keeps nobody waiting.
func (j *journal) writeAlone(ch *change) bool {
	if ch.takes || !j.writing.TryLock() {
		return false
	}
	defer j.writing.Unlock()
	j.mu.Lock()
	alone := j.under == 1 && j.waiting[j.next] == ch && !j.closing // run does the rest then
	if alone {
		delete(j.waiting, ch.seq)
	}
	j.mu.Unlock()
	if alone {
		j.writeBatch([]*change{ch}, false)
	}
	return alone
}

package local

import (
	"context"
	"errors"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// change is one on its way to the disk.
type change struct {
	seq   uint64
	entry []byte
	takes bool                    // something away: nobody may find it once this is answered, however early he asked
	done  chan *protocol.Response // nil: it is on the disk; else why not
}

// change stages what an encoded request asks for, and answers when it is on the
// disk, or when ctx ends. What is staged goes on, since it must be committed or
// aborted: done is called when nothing of it is under way any more.
func (j *journal) change(ctx context.Context, req []byte, done func()) *protocol.Response {
	latest := time.Now().Add(zoneTimeout)
	if asked, ok := ctx.Deadline(); !ok || asked.After(latest) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, latest)
		defer cancel()
	}
	j.gate.RLock()
	j.mu.Lock()
	j.coming++
	since := j.batches
	j.mu.Unlock()
	b, wait, err := j.zone.CallOn(ctx, j.zone.told(req))
	if wait == nil {
		defer done()
		return j.staged(ctx, since, b, err)
	}
	go func() {
		defer done()
		stuck := time.AfterFunc(time.Until(latest), func() {
			j.log.Error("zone does not answer; ending it")
			j.zone.Close()
		})
		b, err := wait()
		stuck.Stop()
		j.staged(ctx, since, b, err)
	}()
	return tooLate()
}

func tooLate() *protocol.Response {
	return protocol.Refuse(protocol.Status_OUTCOME_UNKNOWN, "it took longer than the asker waits")
}

// staged puts what the zone has staged in line, and waits until it is on the disk.
// j.gate is held for reading, and given up here. since is the number of batches when
// it was asked for.
func (j *journal) staged(ctx context.Context, since uint64, b []byte, err error) *protocol.Response {
	resp, err := decode(b, err)
	var st *change
	j.mu.Lock()
	if since == j.batches {
		j.coming--
	}
	switch {
	case err != nil:
		j.hole = j.hole || !errors.Is(err, sandbox.ErrEnded)
	case resp.Change != nil && j.closing:
		err = errLocking
	case resp.Change != nil:
		st = &change{seq: resp.Change.Sequence, entry: resp.Change.Entry, takes: resp.Change.Takes, done: make(chan *protocol.Response, 1)}
		j.waiting[st.seq] = st
	}
	j.mu.Unlock()
	j.gate.RUnlock()
	if st == nil || !j.writeAlone(st) {
		kick(j.wake) // also if there is nothing to write: somebody may have waited for it
	}
	switch {
	case errors.Is(err, sandbox.ErrEnded):
		return protocol.Refuse(protocol.Status_LOCKED, "the zone has ended; nothing was changed")
	case errors.Is(err, errLocking):
		return protocol.Refuse(protocol.Status_LOCKED, "it was locked meanwhile; nothing was changed")
	case err != nil:
		j.log.Error("change not staged", "error", err)
		return protocol.Refuse(protocol.Status_INTERNAL, "nothing was changed")
	case st == nil:
		return resp
	}
	select {
	case refusal := <-st.done:
		if refusal != nil {
			return refusal
		}
	case <-ctx.Done():
		return tooLate()
	}
	resp.Change = nil
	return resp
}

// writeAlone writes a change if no other waits and nobody writes: to wake run, and
// to be woken by it, takes as long as the zone did. What is to be committed before it
// is answered is for run, since a zone that is stuck keeps nobody waiting.
func (j *journal) writeAlone(st *change) bool {
	if st.takes || !j.writing.TryLock() {
		return false
	}
	defer j.writing.Unlock()
	j.mu.Lock()
	alone := len(j.waiting) == 1 && j.waiting[j.next] == st && j.coming <= 1 && !j.closing // run does the rest then
	if alone {
		j.coming, j.batches = 0, j.batches+1
		delete(j.waiting, st.seq)
	}
	j.mu.Unlock()
	if alone {
		j.writeBatch([]*change{st}, false)
	}
	return alone
}

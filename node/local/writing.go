package local

import (
	"errors"
	"syscall"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// run writes until close, or until the disk fails for good.
func (j *journal) run() {
	defer close(j.done)
	for range j.wake {
		if j.writeAll() {
			return
		}
	}
}

// writeAll writes until nothing waits, and says whether that is for good.
func (j *journal) writeAll() (closing bool) {
	j.writing.Lock()
	defer j.writing.Unlock()
	for {
		wrote, closing := j.write(false)
		if rest := j.takeRest(); rest != nil {
			rest.done <- j.doAtRest(rest.do)
			continue
		}
		if !wrote {
			return closing
		}
	}
}

// write writes a batch of what waits, or undoes it; false if there was nothing to
// do. gated says that j.gate is held for writing. j.writing is held.
func (j *journal) write(gated bool) (wrote, closing bool) {
	batch, hole, closing := j.take()
	if len(batch) == 0 && !hole {
		return false, closing
	}
	j.writeBatch(batch, gated)
	return true, closing
}

// writeBatch writes a batch, or undoes it; an empty one stands for a hole.
func (j *journal) writeBatch(batch []*change, gated bool) {
	err := errNotStaged
	if len(batch) > 0 {
		err = j.append(batch)
	}
	if err != nil {
		if !gated {
			j.gate.Lock() // nothing is being staged now
			defer j.gate.Unlock()
		}
		j.undo(batch, err)
	}
}

var errNotStaged = errors.New("local: a change was not staged")

// take returns the changes that can be written now: those whose numbers follow
// on what is written.
func (j *journal) take() (batch []*change, hole, closing bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		ch, ok := j.waiting[j.next+uint64(len(batch))]
		if !ok {
			return batch, j.hole, j.closing
		}
		delete(j.waiting, ch.seq)
		batch = append(batch, ch)
	}
}

// answer lets the askers of changes go; nil stands for what the zone has answered: then
// these are on the disk.
func (j *journal) answer(batch []*change, refusal *protocol.Response) {
	j.mu.Lock()
	j.under -= len(batch)
	if refusal == nil {
		j.written = batch[len(batch)-1].seq
		j.answerResting()
	}
	j.mu.Unlock()
	for _, ch := range batch {
		if refusal != nil {
			ch.resp = protocol.Refuse(refusal.Status, refusal.Detail)
		}
		ch.answer(ch.resp)
	}
}

// answerResting lets those go that rest on changes that are on the disk. j.mu is held.
func (j *journal) answerResting() {
	if len(j.resting) == 0 {
		return
	}
	still := j.resting[:0]
	for _, ch := range j.resting {
		if ch.seq > j.written {
			still = append(still, ch)
			continue
		}
		ch.answer(ch.resp)
		j.under--
	}
	clear(j.resting[len(still):])
	j.resting = still
}

// syncError is what the disk said when it was to make a batch durable. Nobody
// knows then what of the file is on the disk: the system may forget that it is not,
// and say so only once.
type syncError struct{ error }

func (e *syncError) Unwrap() error { return e.error }

// maxBatch is how large a batch is whose memory is kept for the next one, in bytes.
const maxBatch = 64 << 10

// append writes a batch, makes it durable, and lets its askers go. From then on the
// zone commits it before it looks at anything else. What it has begun to do already
// it may do with the state before: so a change that takes something away is committed
// before anybody is let go.
func (j *journal) append(batch []*change) error {
	b, takes := append(j.batch[:0], make([]byte, batchHead)...), false
	for _, st := range batch {
		b = append(b, st.entry...)
		takes = takes || st.takes
	}
	b = sealBatch(b)
	if j.batch = b; cap(b) > maxBatch {
		j.batch = nil
	}
	if err := j.writeDurably(b); err != nil {
		return err
	}
	last := batch[len(batch)-1].seq
	j.ends.seq, j.ends.tag = last, [16]byte(b[len(b)-17:]) // the batch ends with a byte behind its last entry
	j.size += int64(len(b))
	j.next = last + 1
	now := time.Now()
	j.saved.Store(now.UnixMilli())
	j.syncs.Add(1)
	if now.Sub(j.marked) > markEvery {
		j.marked = now
		end := j.ends
		j.unmarked.Store(&end)
		kick(j.grown)
	}
	if j.size > j.foldAt.Load() {
		j.due.Store(true)
		kick(j.grown)
	}
	// From here on the changes have happened, whatever becomes of the zone.
	j.zone.durable.Store(last)
	if takes {
		j.commit()
	} else {
		kick(j.behind)
	}
	j.answer(batch, nil)
	return nil
}

// room is what is written behind a batch that makes the file longer. The next ones go there:
// a disk that need not write down another length is done a third sooner.
var room [256 << 10]byte

// writeDurably writes b behind what is in the file.
func (j *journal) writeDurably(b []byte) error {
	sync := j.file.SyncData
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		return err
	}
	if end := j.size + int64(len(b)); end > j.room {
		sync = j.file.Sync
		n, _ := j.file.WriteAt(room[:], end) // as much as the disk has
		j.room = end + int64(n)
	}
	if err := sync(); err != nil {
		return &syncError{err}
	}
	return nil
}

// giveUpRoom leaves nothing in the file behind what is known to be on the disk.
func (j *journal) giveUpRoom() error {
	j.room = 0
	return j.file.Truncate(j.size)
}

// commit has the zone commit what is on the disk, if it was not told already.
func (j *journal) commit() {
	seq := j.zone.durable.Load()
	if seq == 0 {
		return
	}
	if err := j.tell("zone.commit", seq); err != nil {
		j.log.Error("changes not committed", "error", err)
		j.zone.Close()
	}
	j.zone.durable.CompareAndSwap(seq, 0)
}

// commitAfter is how long nobody asks the zone anything, until it is told of a change
// that is on the disk.
const commitAfter = 10 * time.Millisecond

// follow has changes committed that no request has come after.
func (j *journal) follow() {
	defer close(j.followed)
	for {
		select {
		case <-j.behind:
		case <-j.done:
			return
		}
		seq := j.zone.durable.Load()
		select {
		case <-time.After(commitAfter):
			if j.zone.durable.Load() == seq {
				j.commit()
			} else { // requests come, and the zone hears of it with them
				kick(j.behind)
			}
		case <-j.done:
			return
		}
	}
}

// undo forgets the batch that could not be written and everything staged after
// it, in the file and in the zone. If that fails too, or if nobody knows what the
// file holds, the zone is ended: what it would answer may not be what the file
// says. j.gate is held for writing.
func (j *journal) undo(batch []*change, cause error) {
	j.mu.Lock()
	for _, st := range j.waiting {
		batch = append(batch, st)
	}
	clear(j.waiting)
	batch = append(batch, j.resting...)
	j.resting, j.hole = nil, false
	j.mu.Unlock()

	refusal := refuseDisk(cause)
	err := j.giveUpRoom()
	if err == nil {
		err = j.file.Sync()
	}
	if unknown := new(syncError); err == nil && errors.As(cause, &unknown) {
		err = unknown
	}
	if err == nil {
		err = j.tell("zone.abort", j.next)
	}
	if err != nil {
		j.log.Error("changes not undone; locking", "error", err)
		refusal = protocol.Refuse(protocol.Status_OUTCOME_UNKNOWN, "the disk failed")
		j.zone.Close()
	}
	j.log.Error("changes not written", "changes", len(batch), "error", cause)
	j.answer(batch, refusal)
}

// refuseDisk says what a failed write means to the asker: nothing was changed.
func refuseDisk(err error) *protocol.Response {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return protocol.Refuse(protocol.Status_NO_SPACE, "the disk is full; nothing was changed")
	}
	return protocol.Refuse(protocol.Status_INTERNAL, "the disk failed; nothing was changed")
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

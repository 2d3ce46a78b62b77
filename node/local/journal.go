package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

const (
	partSize  = 4 << 20          // bytes of the file that go to or come from the zone at once
	openSize  = 1 << 20          // of a file that is opened: each part lies in memory several times on its way
	markEvery = 10 * time.Second // how often the newest state is remembered while there are changes
)

// journal is the second step of every change: it appends what the zone has
// sealed to the file, in the order of the numbers, and has the zone commit what
// is on the disk. All that waits is written together, as one batch, and shares
// one fsync: by run, or, where nobody else writes, by the one who asks. The zone
// hears with whatever it is asked next what it is to commit. When the journal has
// grown, the state is written as a fresh file beside it (fold.go).
type journal struct {
	zone *handle
	disk disk
	path string
	keep int // folded files that are kept
	log  *slog.Logger

	// What is remembered outside of the file: the newest state in it.
	remember func(lineage []byte, seq uint64) error
	lineage  []byte
	marked   time.Time     // when it was last written, or begun to be; with writing
	unmarked atomic.Uint64 // the number to write; 0: none

	saved atomic.Int64 // when the last change reached the disk, ms since the Unix epoch
	syncs atomic.Int64 // how often changes reached it

	// Held for reading while a change is staged and put in line, for writing
	// while the file and the zone must agree on where they are.
	gate sync.RWMutex

	writing sync.Mutex // of the file, and of what follows; taken before gate
	file    file
	size    int64  // of what is known to be on the disk
	next    uint64 // number of the change that is written next

	// Held while a fresh file is written and takes its place, and while clients are
	// loaded from this one or unloaded.
	files sync.Mutex

	foldAt atomic.Int64 // size at which the file is folded
	due    atomic.Bool  // it has that size

	mu       sync.Mutex
	waiting  map[uint64]*change
	coming   int    // changes that are being staged, of those asked for since the last batch was taken
	batches  uint64 // that were taken
	folds    []wish // of those who wait for a file that is begun after they asked
	rest     *rest  // what somebody wants to do at rest
	hole     bool   // a change was staged whose number will not come
	closing  bool
	wake     chan struct{} // run has something to do
	grown    chan struct{} // folder has
	behind   chan struct{} // follow has
	done     chan struct{} // run has ended
	folded   chan struct{} // folder has ended
	followed chan struct{} // follow has ended
}

// change is one on its way to the disk.
type change struct {
	seq   uint64
	entry []byte
	takes bool                    // something away: nobody may find it once this is answered, however early he asked
	done  chan *protocol.Response // nil: it is on the disk; else why not
}

// newJournal goes on with the file f that the zone has opened.
func (s *Stronghold) newJournal(zone *handle, f file, opened *protocol.Response) *journal {
	j := &journal{zone: zone, disk: s.disk, file: f, path: s.path(vaultFile), log: s.log, keep: s.settings.Keep,
		remember: s.state.setNewest, lineage: opened.Lineage, marked: time.Now(),
		size: int64(opened.Length), next: opened.Change.GetSequence() + 1, waiting: map[uint64]*change{},
		wake: make(chan struct{}, 1), grown: make(chan struct{}, 1), behind: make(chan struct{}, 1),
		done: make(chan struct{}), folded: make(chan struct{}), followed: make(chan struct{})}
	j.foldAt.Store(foldSize(int64(opened.Base)))
	if j.size > j.foldAt.Load() {
		j.due.Store(true)
		kick(j.grown)
	}
	return j
}

// end is how much of the file is known to be on the disk.
func (j *journal) end() int64 {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.size
}

// settle makes what was read durable before anything is built on it. A process
// that was killed, or a disk that failed to sync, may have left the last batch
// where a reader sees it and a power cut takes it away; syncing again does not
// help, since the system may take the pages for written. So it is written anew.
func (j *journal) settle(last int64) error {
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	for part := make([]byte, min(partSize, j.size-last)); last > 0 && last < j.size; {
		n, err := j.file.ReadAt(part[:min(int64(len(part)), j.size-last)], last)
		if err != nil {
			return err
		}
		if _, err := j.file.WriteAt(part[:n], last); err != nil {
			return err
		}
		last += int64(n)
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	return j.disk.SyncFolder(filepath.Dir(j.path)) // the file itself may be as new
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

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

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
// on what is written. There are none while more come than wait: so half of many
// callers are written while the others are staged.
func (j *journal) take() (batch []*change, hole, closing bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.waiting) < j.coming {
		return nil, false, false
	}
	for {
		st, ok := j.waiting[j.next+uint64(len(batch))]
		if !ok {
			if len(batch) > 0 {
				j.coming, j.batches = 0, j.batches+1
			}
			return batch, j.hole, j.closing
		}
		delete(j.waiting, st.seq)
		batch = append(batch, st)
	}
}

// syncError is what the disk said when it was to make a batch durable. Nobody
// knows then what of the file is on the disk: the system may forget that it is not,
// and say so only once.
type syncError struct{ error }

func (e *syncError) Unwrap() error { return e.error }

// append writes a batch, makes it durable, and lets its askers go. From then on the
// zone commits it before it looks at anything else. What it has begun to do already
// it may do with the state before: so a change that takes something away is committed
// before anybody is let go.
func (j *journal) append(batch []*change) error {
	size := batchHead
	for _, st := range batch {
		size += len(st.entry)
	}
	b := make([]byte, batchHead, size)
	takes := false
	for _, st := range batch {
		b = append(b, st.entry...)
		takes = takes || st.takes
	}
	if _, err := j.file.WriteAt(sealBatch(b), j.size); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return &syncError{err}
	}
	last := batch[len(batch)-1].seq
	j.size += int64(len(b))
	j.next = last + 1
	now := time.Now()
	j.saved.Store(now.UnixMilli())
	j.syncs.Add(1)
	if now.Sub(j.marked) > markEvery {
		j.marked = now
		j.unmarked.Store(last)
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
	for _, st := range batch {
		st.done <- nil
	}
	return nil
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
	j.hole = false
	j.mu.Unlock()

	refusal := refuseDisk(cause)
	err := j.file.Truncate(j.size)
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
	for _, st := range batch {
		st.done <- refusal
	}
}

// tell asks the zone for a step that has no result.
func (j *journal) tell(operation string, seq uint64) error {
	_, err := j.ask(&protocol.Request{Operation: operation, Sequence: seq})
	return err
}

// call asks the zone, with a time limit that is not the asker's.
func (j *journal) call(req *protocol.Request) (*protocol.Response, error) {
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	ctx, cancel := context.WithTimeout(context.Background(), zoneTimeout)
	defer cancel()
	return call(ctx, j.zone, req)
}

// ask is call, in which a refusal is an error.
func (j *journal) ask(req *protocol.Request) (*protocol.Response, error) {
	resp, err := j.call(req)
	if err == nil && resp.Status != protocol.Status_OK {
		err = fmt.Errorf("local: %s: %s", req.Operation, resp.Status.Code())
	}
	return resp, err
}

var errLocking = errors.New("local: it is being locked")

// close writes what is on its way and closes the file.
func (j *journal) close() {
	j.gate.Lock() // what is being staged arrives first
	j.mu.Lock()
	j.closing = true
	j.mu.Unlock()
	j.gate.Unlock()
	kick(j.grown)
	kick(j.wake)
	<-j.done
	<-j.folded
	<-j.followed
	// A number that did not come holds back those behind it: the zone died in between.
	for _, st := range j.waiting {
		st.done <- protocol.Refuse(protocol.Status_LOCKED, "the zone has ended; nothing was changed")
	}
	j.mark(j.next - 1)
	if err := j.file.Close(); err != nil {
		j.log.Error("snapshot file not closed", "error", err)
	}
}

// mark remembers outside of the file that it ends with this change, which is on
// the disk. That it may fail costs notice of an older file, and nothing else.
func (j *journal) mark(seq uint64) {
	if err := j.remember(j.lineage, seq); err != nil {
		j.log.Error("newest state not remembered", "error", err)
	}
}

// refuseDisk says what a failed write means to the asker: nothing was changed.
func refuseDisk(err error) *protocol.Response {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return protocol.Refuse(protocol.Status_NO_SPACE, "the disk is full; nothing was changed")
	}
	return protocol.Refuse(protocol.Status_INTERNAL, "the disk failed; nothing was changed")
}

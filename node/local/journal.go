package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

const (
	partSize  = 4 << 20   // bytes of the file that go to or come from the zone at once
	foldAfter = 256 << 10 // bytes of journal that are left alone, however small the rest
)

// journal is the second step of every change: it appends what the zone has
// sealed to the file, in the order of the numbers, and has the zone commit what
// is on the disk. All that waits is written together and shares one fsync.
type journal struct {
	zone *sandbox.Zone
	path string
	log  *slog.Logger

	saved atomic.Int64 // when the last change reached the disk, ms since the Unix epoch
	syncs atomic.Int64 // how often changes reached it

	// Held for reading while a change is staged and handed to run, for writing
	// while the file and the zone must agree on where they are.
	gate sync.RWMutex
	file *os.File
	size int64  // of what is known to be on the disk
	next uint64 // number of the change that is written next

	mu      sync.Mutex
	waiting map[uint64]*staged
	folds   []chan error // who waits for a fresh file
	hole    bool         // a change was staged whose number will not come
	closing bool
	wake    chan struct{}
	done    chan struct{}
}

// staged is a change on its way to the disk.
type staged struct {
	seq   uint64
	entry []byte
	done  chan *protocol.Response // nil: it is on the disk; else why not
}

func newJournal(zone *sandbox.Zone, file *os.File, path string, opened *protocol.Response, log *slog.Logger) *journal {
	return &journal{zone: zone, file: file, path: path, log: log, size: int64(opened.Length), next: opened.Change.GetSequence() + 1,
		waiting: map[uint64]*staged{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// change stages what req asks for, and answers when it is on the disk.
func (j *journal) change(req *protocol.Request) *protocol.Response {
	j.gate.RLock()
	// The asker's patience must not leave a change staged that nobody commits.
	ctx, cancel := context.WithTimeout(context.Background(), zoneTimeout)
	resp, err := call(ctx, j.zone, req)
	cancel()
	if err != nil {
		defer j.gate.RUnlock()
		switch {
		case errors.Is(err, sandbox.ErrEnded):
			return protocol.Refuse(protocol.Status_LOCKED, "the zone has ended; nothing was changed")
		case errors.Is(err, context.DeadlineExceeded):
			// It may still stage the change, after it was told to forget it.
			j.log.Error("zone does not answer; ending it")
			j.zone.Close()
			return protocol.Refuse(protocol.Status_LOCKED, "the zone did not answer; nothing was changed")
		}
		j.log.Error("change not staged", "error", err)
		j.mu.Lock()
		j.hole = true
		j.mu.Unlock()
		j.kick()
		return protocol.Refuse(protocol.Status_INTERNAL, "nothing was changed")
	}
	if resp.Change == nil {
		j.gate.RUnlock()
		return resp
	}
	st := &staged{seq: resp.Change.Sequence, entry: resp.Change.Entry, done: make(chan *protocol.Response, 1)}
	j.mu.Lock()
	if j.closing {
		st.done <- protocol.Refuse(protocol.Status_LOCKED, "it was locked meanwhile; nothing was changed")
	} else {
		j.waiting[st.seq] = st
	}
	j.mu.Unlock()
	j.gate.RUnlock()
	j.kick()
	if refusal := <-st.done; refusal != nil {
		return refusal
	}
	resp.Change = nil
	return resp
}

func (j *journal) kick() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run writes until close, or until the disk fails for good.
func (j *journal) run() {
	defer close(j.done)
	for range j.wake {
		for {
			batch, hole, closing := j.take()
			if len(batch) > 0 {
				if err := j.append(batch); err != nil {
					j.undo(batch, err)
				}
				continue
			}
			if hole {
				j.undo(nil, errors.New("a change was not staged"))
				continue
			}
			fold := j.takeFold()
			if closing && fold == nil {
				return
			}
			if fold == nil {
				break
			}
			if closing {
				fold <- errLocking
			} else {
				j.foldFor(fold)
			}
		}
	}
}

// take returns the changes that can be written now: those whose numbers follow
// on what is written.
func (j *journal) take() (batch []*staged, hole, closing bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		st, ok := j.waiting[j.next+uint64(len(batch))]
		if !ok {
			return batch, j.hole, j.closing
		}
		delete(j.waiting, st.seq)
		batch = append(batch, st)
	}
}

// append writes a batch, makes it durable, has the zone commit it, and lets its
// askers go.
func (j *journal) append(batch []*staged) error {
	var b []byte
	for _, st := range batch {
		b = append(b, st.entry...)
	}
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	last := batch[len(batch)-1].seq
	j.size += int64(len(b))
	j.next = last + 1
	j.saved.Store(time.Now().UnixMilli())
	j.syncs.Add(1)
	// From here on the changes have happened, whatever becomes of the zone.
	if err := j.tell("zone.commit", last); err != nil {
		j.log.Error("changes not committed", "error", err)
		j.zone.Close()
	}
	for _, st := range batch {
		st.done <- nil
	}
	return nil
}

// undo forgets the batch that could not be written and everything staged after
// it, in the file and in the zone. If that fails too, the zone is ended: what it
// would answer is not what the file says.
func (j *journal) undo(batch []*staged, cause error) {
	j.gate.Lock() // nothing is being staged now
	defer j.gate.Unlock()
	j.mu.Lock()
	for _, st := range j.waiting {
		batch = append(batch, st)
	}
	clear(j.waiting)
	j.hole = false
	j.mu.Unlock()

	refusal := refuseDisk(cause)
	err := j.truncate()
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

// truncate cuts off what is behind the last whole change.
func (j *journal) truncate() error {
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	return j.file.Sync()
}

// tell asks the zone for a step that has no result.
func (j *journal) tell(operation string, seq uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), zoneTimeout)
	defer cancel()
	resp, err := call(ctx, j.zone, &protocol.Request{Id: protocol.NewID(), Operation: operation, Sequence: seq})
	if err != nil {
		return err
	}
	if resp.Status != protocol.Status_OK {
		return fmt.Errorf("local: %s: %s", operation, resp.Status.Code())
	}
	return nil
}

// fold writes the whole state as a fresh file in the place of this one, between
// two batches of changes.
func (j *journal) fold() error {
	done := make(chan error, 1)
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return errLocking
	}
	j.folds = append(j.folds, done)
	j.mu.Unlock()
	j.kick()
	return <-done
}

var errLocking = errors.New("local: it is being locked")

func (j *journal) takeFold() chan error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.folds) == 0 {
		return nil
	}
	fold := j.folds[0]
	j.folds = j.folds[1:]
	return fold
}

// foldFor folds for one who waits. Changes that were staged meanwhile go first.
func (j *journal) foldFor(done chan error) {
	j.gate.Lock() // nothing is being staged now
	defer j.gate.Unlock()
	j.mu.Lock()
	waiting, next := len(j.waiting) > 0 || j.hole, j.hole || j.waiting[j.next] != nil
	if waiting && next {
		j.folds = append(j.folds, done)
	}
	j.mu.Unlock()
	switch {
	case !waiting:
		done <- j.foldNow()
	case !next: // its number was lost with the zone
		done <- sandbox.ErrEnded
	}
}

// foldNow does it. j.gate is held, and nothing waits to be written.
func (j *journal) foldNow() error {
	var size int64
	file, err := replaceFile(j.path, func(f *os.File) error {
		req := &protocol.Request{Id: protocol.NewID(), Operation: "zone.fold"}
		for {
			ctx, cancel := context.WithTimeout(context.Background(), zoneTimeout)
			resp, err := call(ctx, j.zone, req)
			cancel()
			if err == nil && resp.Status != protocol.Status_OK {
				err = fmt.Errorf("local: %s: %s", req.Operation, resp.Status.Code())
			}
			if err != nil {
				return err
			}
			n, err := f.Write(resp.Snapshot)
			size += int64(n)
			if err != nil || !resp.More {
				return err
			}
			req = &protocol.Request{Id: protocol.NewID(), Operation: "zone.fold", More: true}
		}
	})
	if err != nil {
		if !j.inPlace() {
			j.zone.Close() // what is appended to the old file now would be lost
		}
		return err
	}
	j.file.Close()
	j.file, j.size = file, size
	if err := j.tell("zone.adopt", 0); err != nil {
		j.zone.Close() // it would go on with the journal of a file that is gone
		return err
	}
	return nil
}

// inPlace says whether the file that is appended to is still the one at its path.
func (j *journal) inPlace() bool {
	there, err := os.Stat(j.path)
	if err != nil {
		return false
	}
	ours, err := j.file.Stat()
	return err == nil && os.SameFile(there, ours)
}

// close writes what is on its way and closes the file.
func (j *journal) close() {
	j.gate.Lock() // what is being staged arrives first
	j.mu.Lock()
	j.closing = true
	j.mu.Unlock()
	j.gate.Unlock()
	j.kick()
	<-j.done
	// A number that did not come holds back those behind it: the zone died in between.
	for _, st := range j.waiting {
		st.done <- protocol.Refuse(protocol.Status_LOCKED, "the zone has ended; nothing was changed")
	}
	if err := j.file.Close(); err != nil {
		j.log.Error("snapshot file not closed", "error", err)
	}
}

// refuseDisk says what a failed write means to the asker: nothing was changed.
func refuseDisk(err error) *protocol.Response {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return protocol.Refuse(protocol.Status_NO_SPACE, "the disk is full; nothing was changed")
	}
	return protocol.Refuse(protocol.Status_INTERNAL, "the disk failed; nothing was changed")
}

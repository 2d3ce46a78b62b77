package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
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
// grown, the state is written as a fresh file beside it (fold.go). A change is
// staged in stage.go, and written in writing.go.
type journal struct {
	zone *handle
	disk disk
	path string
	keep int // folded files that are kept
	log  *slog.Logger

	// What is remembered outside of the file: the newest state in it.
	remember func(...mark) error
	ends     mark                 // where the file does; with writing
	marked   time.Time            // when it was last remembered, or begun to be; with writing
	unmarked atomic.Pointer[mark] // what to remember; nil: nothing
	either   atomic.Bool          // after a power cut it may be the file before: both ends stay remembered

	saved atomic.Int64 // when the last change reached the disk, ms since the Unix epoch
	syncs atomic.Int64 // how often changes reached it

	// Held for reading while a change is staged and put in line, for writing
	// while the file and the zone must agree on where they are.
	gate sync.RWMutex

	writing sync.Mutex // of the file, and of what follows; taken before gate
	file    file
	size    int64  // of what is known to be on the disk
	next    uint64 // number of the change that is written next
	room    int64  // what is written up to here does not make the file longer
	batch   []byte // memory for the one that is written

	// Held while a fresh file is written and takes its place, and while clients are
	// loaded from this one or unloaded.
	files sync.Mutex

	foldAt atomic.Int64 // size at which the file is folded
	due    atomic.Bool  // it has that size

	running *sync.WaitGroup // of what stages what has queued

	mu       sync.Mutex
	under    int // changes under way: asked for, and not answered
	brief    queue
	long     queue // of what takes long to stage
	waiting  map[uint64]*change
	resting  []*change // have changed nothing, and wait for the changes of these numbers
	written  uint64    // number of the last change that is on the disk, for them
	folds    []wish    // of those who wait for a file that is begun after they asked
	rest     *rest     // what somebody wants to do at rest
	hole     bool      // a change was staged whose number will not come
	closing  bool
	wake     chan struct{} // run has something to do
	grown    chan struct{} // folder has
	behind   chan struct{} // follow has
	done     chan struct{} // run has ended
	folded   chan struct{} // folder has ended
	followed chan struct{} // follow has ended
}

// newJournal goes on with the file f that the zone has opened.
func (s *Stronghold) newJournal(zone *handle, f file, opened *protocol.Response) *journal {
	j := &journal{zone: zone, running: &s.running, disk: s.disk, file: f, path: s.path(vaultFile), log: s.log, keep: s.settings.Keep,
		remember: s.remember, ends: markOf(opened), marked: time.Now(),
		size: int64(opened.Length), next: opened.Change.GetSequence() + 1, written: opened.Change.GetSequence(), waiting: map[uint64]*change{}, long: queue{long: true},
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
	if err := j.giveUpRoom(); err != nil {
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

// tell asks the zone for a step that has no result.
func (j *journal) tell(operation string, seq uint64) error {
	_, err := j.ask(&protocol.Request{Operation: operation, Sequence: seq})
	return err
}

// call asks the zone, for as long as it is not stuck.
func (j *journal) call(req *protocol.Request) (*protocol.Response, error) {
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	b, err := protocol.Marshal(req)
	if err != nil {
		return nil, err
	}
	answer, _, err := j.zone.must(context.Background(), b, protocol.Cost(req) >= protocol.HeavyCost)
	return decode(answer, err)
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
	for _, ch := range j.waiting {
		ch.answer(refuseEnded())
	}
	for _, ch := range j.resting {
		ch.answer(refuseEnded())
	}
	j.mark(j.ends)
	if j.room > j.size {
		if err := j.giveUpRoom(); err != nil {
			j.log.Warn("snapshot file not shortened", "error", err)
		}
	}
	if err := j.file.Close(); err != nil {
		j.log.Error("snapshot file not closed", "error", err)
	}
}

// mark remembers outside of the file where it ends. That it may fail costs notice of an
// older file, and nothing else.
func (j *journal) mark(end mark) {
	if j.either.Load() {
		return
	}
	if err := j.remember(end); err != nil {
		j.log.Error("newest state not remembered", "error", err)
	}
}

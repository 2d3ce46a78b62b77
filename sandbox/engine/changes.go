package engine

import (
	"cmp"
	"slices"
	"sync"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// end is where the journal ended before a change that is not committed yet.
type end struct {
	seq    uint64
	before [16]byte // the tag that the journal ended with
	change *vault.Change
}

// change stages what f does for req, and says so in resp. The entry follows: see seal.
func (e *Engine) change(req *protocol.Request, resp *protocol.Response, f func(*vault.Tx) error) error {
	if req.Left != nil {
		all := f
		f = func(tx *vault.Tx) error { return cmp.Or(all(tx), within(tx.Growth(), req.Left)) }
	}
	e.staging.Lock()
	defer e.staging.Unlock()
	aborts := e.aborts.Load()
	c, err := e.state.DB.Stage(f)
	if err != nil || c == nil { // nothing to write
		return err
	}
	e.journal.Lock()
	defer e.journal.Unlock()
	if e.aborts.Load() != aborts { // it may be made on top of what has not happened
		if len(c.Edits) > 0 {
			e.state.DB.Abort(c.Sequence)
		}
		return errBusy
	}
	resp.Change = &protocol.Change{Sequence: c.Sequence, Takes: c.Takes()}
	g := c.Growth()
	resp.Change.Records, resp.Change.Tombstones = int64(g.Records), int64(g.Tombstones)
	resp.Change.Clients, resp.Change.StoreBytes = int64(g.Clients), int64(g.StoreBytes)
	if len(c.Edits) == 0 { // it is the number of the change that the answer rests on
		if len(e.unsealed) > 0 {
			e.resting = append(e.resting, resp.Change)
		}
		return nil
	}
	e.unsealed = append(e.unsealed, c)
	e.sealTo = append(e.sealTo, resp.Change)
	return nil
}

// A usedUpError says of what an asker has made as much as he may.
type usedUpError string

func (e usedUpError) Error() string { return string(e) + ": this peer has made as many as he may" }

// within says whether a change makes more than its asker may.
func within(g vault.Growth, left *protocol.Usage) error {
	for _, f := range []struct {
		what   string
		is     int
		atMost uint64
	}{{"records", g.Records, left.Records}, {"tombstones of records that were removed", g.Tombstones, left.Tombstones},
		{"clients", g.Clients, left.Clients}, {"bytes of stores", g.StoreBytes, left.StoreBytes}} {
		if f.is > 0 && uint64(f.is) > f.atMost {
			return usedUpError(f.what)
		}
	}
	return nil
}

// noEntry is in the place of an entry that there will not be.
var noEntry = []byte{}

// lockJournal locks the journal for what depends on where it ends: all that is staged
// is in it then.
func (e *Engine) lockJournal() {
	e.journal.Lock()
	e.sealStaged() // or forgets it, which whoever has staged it will see
}

// sealStaged seals what is staged, in the order of the changes' numbers, since each entry
// authenticates the one before it. One for which that fails has not happened, nor has what
// was staged behind it: their answers have noEntry.
func (e *Engine) sealStaged() error {
	if len(e.unsealed) == 0 {
		return nil
	}
	before := e.state.Journal.Tag()
	entries, err := e.state.Journal.Seal(e.unsealed...)
	if err != nil {
		failed := e.unsealed[len(entries)].Sequence
		e.aborts.Add(1)
		e.state.DB.Abort(failed)
		for _, c := range slices.Concat(e.sealTo, e.resting) {
			if c.Sequence >= failed {
				c.Entry = noEntry
			}
		}
	}
	for i, entry := range entries {
		c := e.unsealed[i]
		e.sealTo[i].Entry = entry
		e.ends = append(e.ends, end{c.Sequence, before, c})
		if e.folding != nil {
			e.folding.since = append(e.folding.since, c)
		}
		before = snapshot.EntryTag(entry)
	}
	clear(e.unsealed)
	clear(e.sealTo)
	clear(e.resting)
	e.unsealed, e.sealTo, e.resting = e.unsealed[:0], e.sealTo[:0], e.resting[:0]
	return err
}

// seal sees to it that the changes in answers have their entries. One whose change has
// not happened becomes a refusal.
func (e *Engine) seal(answers []*protocol.Response) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.state == nil { // nor was it there before
		return
	}
	e.journal.Lock()
	defer e.journal.Unlock()
	err := cmp.Or(e.sealStaged(), errBusy) // busy: somebody else has failed to
	for i, r := range answers {
		if r.Change != nil && r.Change.Entry != nil && len(r.Change.Entry) == 0 {
			answers[i] = refuse(err)
		}
	}
}

// stage does requests as if each came by itself: the answers say what became of each.
func (e *Engine) stage(n int, step func(int) (*protocol.Request, error)) ([]*protocol.Response, error) {
	answers := make([]*protocol.Response, n)
	for i := range answers {
		req, err := step(i)
		if err != nil {
			return nil, err
		}
		answers[i] = e.handle(req)
	}
	e.seal(answers)
	return answers, nil
}

// serveStage is zone.stage for an encoded request, and gives an encoded answer. It needs
// little memory, and the same for each step.
func (e *Engine) serveStage(s *protocol.Staging) ([]byte, error) {
	if err := e.commitBefore(s.Durable); err != nil {
		return protocol.Marshal(refuse(err))
	}
	answers, err := e.stage(s.Len(), s.Step)
	if err != nil {
		return nil, err
	}
	out, err := protocol.Marshal(&protocol.Response{Status: protocol.Status_OK})
	if err != nil {
		return nil, err
	}
	out = slices.Grow(out, len(answers)*resultRoom)
	for _, resp := range answers {
		if out, err = protocol.AppendResult(out, resp); err != nil {
			return nil, err
		}
		resp.Reset()
		responses.Put(resp)
	}
	return out, nil
}

// resultRoom is about what a result takes that has a small change in it, in bytes.
const resultRoom = 300

// responses are for the answers to changes, most of which are made by the million.
var responses = sync.Pool{New: func() any { return new(protocol.Response) }}

func newResponse() *protocol.Response { return responses.Get().(*protocol.Response) }

// commit lets others see all changes up to seq: they are on the disk.
func (e *Engine) commit(seq uint64) (*protocol.Response, error) {
	e.journal.Lock()
	defer e.journal.Unlock()
	if err := e.state.DB.Commit(seq); err != nil {
		return nil, err
	}
	for len(e.ends) > 0 && e.ends[0].seq <= seq {
		if err := e.dropSessions(e.ends[0].change); err != nil {
			return nil, err
		}
		e.ends[0].change = nil
		e.ends = e.ends[1:]
	}
	e.awaitExpiry()
	e.frugal()
	return new(protocol.Response), nil
}

// dropSessions takes away what the sessions of clients have that a change purges.
func (e *Engine) dropSessions(c *vault.Change) error {
	for i := range c.Edits {
		if edit := &c.Edits[i]; edit.Purge {
			if err := e.dropSession(edit.Client); err != nil {
				return err
			}
		}
	}
	return nil
}

// commitBefore commits what the node has on the disk, before it asks for
// anything else: whoever was answered must not find the state before.
func (e *Engine) commitBefore(seq uint64) error {
	if seq == 0 {
		return nil
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.state == nil {
		return errLocked
	}
	if seq <= e.state.DB.Sequence() {
		return nil
	}
	if _, err := e.commit(seq); err != nil {
		return &procedures.InputError{Field: "durable", Reason: "no change of this number was staged"}
	}
	return nil
}

// abort forgets all changes from seq on: they are not on the disk.
func (e *Engine) abort(seq uint64) (*protocol.Response, error) {
	e.staging.Lock()
	defer e.staging.Unlock()
	e.lockJournal()
	defer e.journal.Unlock()
	for i, end := range e.ends {
		if end.seq >= seq {
			e.state.DB.Abort(end.seq)
			e.state.Journal.Restart(end.before)
			clear(e.ends[i:])
			e.ends = e.ends[:i]
			e.forget(end.seq)
			break
		}
	}
	return new(protocol.Response), nil
}

// forget takes aborted changes, from seq on, away from a file that is being given out.
func (e *Engine) forget(seq uint64) {
	if f := e.folding; f != nil {
		f.since = slices.DeleteFunc(f.since, func(c *vault.Change) bool { return c.Sequence >= seq })
	}
}

package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// create makes a new snapshot. It is given out and not opened: whoever asked
// writes it and unlocks it like any other. The zone that made it has hashed its
// passphrase and is to end.
func (e *Engine) create(req *protocol.Request) (*protocol.Response, error) {
	passphrase, err := e.unseal(req)
	if err != nil {
		return nil, err
	}
	defer memory.Wipe(passphrase)
	if len(passphrase) == 0 {
		return nil, &procedures.InputError{Field: "secret", Reason: "a passphrase is not empty"}
	}
	cost := int(req.Cost) // 0: chosen
	if cost != 0 && (cost < snapshot.MinCost || cost > snapshot.MaxCost) {
		return nil, &procedures.InputError{Field: "cost", Reason: "must be 17 to 22"}
	}
	state, err := snapshot.Create(e.arena, passphrase, cost, e.Memory)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	defer debug.FreeOSMemory() // the password hash took hundreds of megabytes
	var out bytes.Buffer
	journal, err := snapshot.Write(&out, state.Keys, state.Header, state.DB.Freeze(), nil)
	if err != nil {
		return nil, err
	}
	journal.Close()
	return &protocol.Response{Snapshot: out.Bytes()}, nil
}

// opening is a snapshot on its way in.
type opening struct {
	*exchange
	state  *snapshot.State
	only   map[vault.ID]bool // the clients to load; nil: all
	limits vault.Limits      // that its state is to have

	salvage bool
	damage  []snapshot.Damage // that was found then

	known  []*protocol.Mark    // what the node knows: one of these must be in the file
	anyAge bool                // it need not
	tags   map[uint64][16]byte // that the file has behind the changes in known
}

// older says whether the file is not, or not any more, what the node wrote last.
func (o *opening) older(lineage []byte) bool {
	if o.anyAge {
		return false
	}
	if len(o.known) == 0 { // nothing was written here: then it is as it was made
		return o.state.DB.Sequence() > 0
	}
	return !slices.ContainsFunc(o.known, func(m *protocol.Mark) bool {
		return bytes.Equal(m.Lineage, lineage) && o.state.DB.Sequence() >= m.Sequence && o.tags[m.Sequence] == [16]byte(m.Tag)
	})
}

func (e *Engine) open(req *protocol.Request) (*protocol.Response, error) {
	e.bringing.Lock()
	defer e.bringing.Unlock()
	if e.unlocked() {
		return nil, errBusy
	}
	if req.Secret != nil {
		return e.begin(req)
	}
	if e.opening == nil {
		return nil, errBusy
	}
	e.opening.bring(part{req.Snapshot, !req.More})
	return e.take()
}

func (e *Engine) unlocked() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.state != nil
}

// take goes on with the snapshot that is being brought. e.bringing is held.
func (e *Engine) take() (*protocol.Response, error) {
	o := e.opening
	next, err := o.next()
	if err == nil && !next.last {
		return &protocol.Response{Wanted: next.wanted}, nil
	}
	e.opening = nil
	if err != nil {
		return nil, err
	}
	lineage, err := o.state.Keys.Lineage()
	if err == nil && o.older(lineage) {
		switch ours := func(m *protocol.Mark) bool { return bytes.Equal(m.Lineage, lineage) }; {
		case len(o.known) == 0:
			err = errUnknown
		case !slices.ContainsFunc(o.known, ours):
			err = errOther
		default:
			err = errOlder
		}
	}
	for id := range o.only {
		if err == nil && !o.state.DB.HasClient(id) {
			err = vault.ErrNotFound
		}
	}
	if err != nil {
		o.state.Close()
		return nil, err
	}
	e.mu.Lock()
	e.state = o.state
	e.session = vault.New(e.arena, nil, [8]byte{})
	e.state.DB.Limit(o.limits)
	e.session.Limit(o.limits)
	e.awaitExpiry()
	e.frugal()
	e.mu.Unlock()
	debug.FreeOSMemory() // reading it took as much again
	tag := o.state.Journal.Tag()
	var salvaged *protocol.Salvaged
	if o.salvage {
		if salvaged, err = o.salvaged(); err != nil {
			return nil, err
		}
	}
	return &protocol.Response{Salvaged: salvaged, Length: uint64(o.state.Length), Base: uint64(o.state.Base), Last: uint64(o.state.Last), Lineage: lineage, Tag: tag[:], LatestMs: uint64(max(0, o.state.DB.Latest())), Recovered: o.state.Recovered,
		Change: &protocol.Change{Sequence: o.state.DB.Sequence()}}, nil
}

// begin reads the header of a snapshot, in place of one that was not brought
// whole, and has the passphrase tried on its slots. e.bringing is held.
func (e *Engine) begin(req *protocol.Request) (*protocol.Response, error) {
	if e.opening != nil {
		e.opening.close()
		if e.opening.state != nil {
			e.opening.state.Close()
		}
		e.opening = nil
	}
	if req.Cost > snapshot.MaxMaxCost {
		return nil, &procedures.InputError{Field: "cost", Reason: fmt.Sprintf("at most %d", snapshot.MaxMaxCost)}
	}
	header, _, err := snapshot.ReadHeader(bytes.NewReader(req.Snapshot))
	if err != nil {
		return nil, err
	}
	// The person who typed it sealed it for node.unlock.
	passphrase, err := e.unseal(&protocol.Request{Id: req.Id, Operation: "node.unlock", Secret: req.Secret})
	if err != nil {
		return nil, err
	}
	defer memory.Wipe(passphrase)
	job := &protocol.Job{Header: header.Encode(), Key: passphrase, MaxCost: cmp.Or(req.Cost, snapshot.DefaultMaxCost)}
	return e.hash(req, job, func(h *protocol.Hashed) (*protocol.Response, error) {
		e.bringing.Lock()
		defer e.bringing.Unlock()
		if e.unlocked() {
			return nil, errBusy
		}
		keys, err := snapshot.KeysOf(e.arena, h.Root)
		if err != nil {
			return nil, err
		}
		e.read(keys, req)
		return e.take()
	})
}

// read starts to read a snapshot whose keys are known.
func (e *Engine) read(keys *snapshot.Keys, req *protocol.Request) {
	o := &opening{limits: limitsOf(req), known: req.Known, anyAge: req.AcceptOlder, tags: map[uint64][16]byte{}, salvage: req.Salvage}
	for _, m := range req.Known {
		o.tags[m.Sequence] = [16]byte{}
	}
	if req.Within != nil {
		o.only = map[vault.ID]bool{}
		for _, l := range req.Within {
			o.only[place(l).Client] = true
		}
	}
	options := snapshot.Options{Arena: e.arena, Only: o.only, Tags: o.tags}
	copy(options.Device[:], req.Device)
	o.exchange = converse(part{req.Snapshot, !req.More}, func(x *exchange) (err error) {
		used := false
		unlock := func(*snapshot.Header) (*snapshot.Keys, error) { used = true; return keys, nil }
		if o.salvage {
			o.state, o.damage, err = snapshot.Salvage(x, unlock, options)
		} else {
			o.state, err = snapshot.Read(x, unlock, options)
		}
		if !used {
			keys.Destroy()
		}
		return err
	})
	e.opening = o
}

// folding is a new file on its way out.
type folding struct {
	*exchange
	journal *snapshot.Journal // of the new file; set when all of it was given out
	whole   bool
	since   []*vault.Change // staged since the state in it, in the order of their numbers; Engine.journal is held for it
	carried uint64          // the number of the last change that is in it
	keys    *snapshot.Keys
	header  *snapshot.Header
	renewed bool // the keys are not those of the file before
}

// close gives up a file that nobody will adopt.
func (f *folding) close() {
	f.exchange.close()
	if f.journal != nil {
		f.journal.Close()
	}
	if f.renewed {
		f.keys.Destroy()
	}
}

// fold gives out the committed state as a new file. Changes go on meanwhile, and
// follow by carry.
func (e *Engine) fold(req *protocol.Request) (*protocol.Response, error) {
	e.folds.Lock()
	defer e.folds.Unlock()
	if !req.More {
		e.beginFold()
	}
	f := e.folding
	if f == nil || f.whole {
		return nil, errBusy
	}
	next, err := f.goOn(req.Snapshot)
	if err != nil {
		f.close()
		e.setFolding(nil)
		return nil, err
	}
	f.whole = next.last
	lineage, err := f.keys.Lineage()
	return &protocol.Response{Snapshot: next.out, More: !f.whole, Lineage: lineage, Copied: next.copied, Wanted: next.wanted}, err
}

// beginFold freezes the state and begins to write it.
func (e *Engine) beginFold() {
	e.giveUp()
	state := e.state
	state.DB.Sweep() // what has expired is not written again
	e.lockJournal()
	view := state.DB.Freeze()
	rest := state.Journal.Rest()
	f := &folding{carried: view.Sequence, keys: state.Keys, header: state.Header}
	if next := e.renewal; next != nil {
		if f.header = next.header; next.keys != nil {
			f.keys, f.renewed = next.keys, true
		}
		e.renewal = nil
	}
	for _, end := range e.ends { // staged already, and not committed
		f.since = append(f.since, end.change)
	}
	f.exchange = converse(part{}, func(x *exchange) (err error) {
		rest.File, rest.Copy = x, x.Copy
		f.journal, err = snapshot.Write(x, f.keys, f.header, view, rest)
		return err
	})
	e.folding = f
	e.journal.Unlock()
}

func (e *Engine) setFolding(f *folding) {
	e.journal.Lock()
	e.folding = f
	e.journal.Unlock()
}

// carry gives out the changes that were committed since, sealed for the new file.
func (e *Engine) carry() (*protocol.Response, error) {
	e.folds.Lock()
	defer e.folds.Unlock()
	f := e.folding
	if f == nil || !f.whole {
		return nil, errBusy
	}
	committed := e.state.DB.Sequence()
	resp := new(protocol.Response)
	for {
		e.journal.Lock()
		if len(f.since) == 0 || f.since[0].Sequence > committed {
			e.journal.Unlock()
			return resp, nil
		}
		c := f.since[0]
		f.since[0] = nil
		f.since = f.since[1:]
		e.journal.Unlock()
		entries, err := f.journal.Seal(c)
		if err != nil {
			f.close()
			e.setFolding(nil)
			return nil, err
		}
		f.carried = c.Sequence
		resp.Snapshot = append(resp.Snapshot, entries[0]...)
		if len(resp.Snapshot) >= PartSize {
			resp.More = true
			return resp, nil
		}
	}
}

// adopt goes on with the journal of the file that was given out: it has taken
// the place of the old one.
func (e *Engine) adopt() (*protocol.Response, error) {
	e.folds.Lock()
	defer e.folds.Unlock()
	e.lockJournal()
	defer e.journal.Unlock()
	f := e.folding
	if f == nil || !f.whole || len(e.ends) > 0 || f.carried != e.state.DB.Sequence() {
		return nil, errBusy
	}
	e.state.Journal.Close()
	if f.renewed {
		e.state.Keys.Destroy()
	}
	e.state.Journal, e.state.Keys, e.state.Header = f.journal, f.keys, f.header
	e.folding = nil
	return new(protocol.Response), nil
}

// inspect tells what a file tells without a key.
func inspect(req *protocol.Request) (*protocol.Response, error) {
	in := bytes.NewReader(req.Snapshot)
	h, _, err := snapshot.ReadHeader(in)
	if err != nil {
		return nil, err
	}
	return &protocol.Response{Info: &protocol.SnapshotInfo{Version: snapshot.Version, Slots: slotsOf(h), HeaderSize: uint64(len(req.Snapshot) - in.Len())}}, nil
}

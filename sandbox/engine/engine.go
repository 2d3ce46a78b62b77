// Package engine is what runs inside the zone: the state behind the requests.
//
// An [Engine] is locked until zone.open has brought it a snapshot. It answers
// every operation that touches a secret. One that changes something has two
// steps: the answer carries the change as a sealed journal entry, which the node
// appends to its file and then names in its next request, in zone.commit, or in
// zone.abort; only then do others see it. The engine opens no file and remembers nothing: all
// that lasts is in what it hands out.
package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// ArenaSize is how much guarded memory the engine needs for each worker, in bytes.
// A worker has up to four requests under way, each with a record that is opened and
// what is computed from it: twice [vault.MaxSecret], and as much again to spare.
const ArenaSize = 4 * 4 * vault.MaxSecret

// Engine answers requests. It is a protocol.Handler at the zone's door.
type Engine struct {
	arena *memory.Arena
	inbox *inbox // what is sealed for this engine

	mu    sync.RWMutex
	state *snapshot.State // nil while locked

	frugally atomic.Bool // see frugal

	session  *vault.DB  // the store that is never saved; nil while locked
	expiring sync.Mutex // of what follows
	expiry   *time.Timer
	expiryAt int64 // what the timer is for, ms since the Unix epoch

	bringing sync.Mutex
	opening  *opening // a snapshot that is being brought

	staging sync.Mutex    // changes are made one at a time, and get in line in the order of their numbers; taken before journal
	aborts  atomic.Uint64 // how often what was staged could not be sealed

	journal  sync.Mutex         // of what is in line: nobody has it while a change is made
	unsealed []*vault.Change    // staged, and not sealed yet
	sealTo   []*protocol.Change // where their entries go
	resting  []*protocol.Change // of answers that rest on them, and have changed nothing
	ends     []end              // where the journal ended before each change that is sealed and not committed
	folding  *folding           // a file that is being given out; set with both locks
	loading  *loading           // clients that are being brought
	folds    sync.Mutex         // one step of a file at a time; taken before journal

	renewal *renewal // for the next file that is given out

	coming parts  // a file of another program
	going  giving // a file for somebody

	// Memory is how many more bytes this process may take, to be set before it is asked; 0: no limit is known.
	Memory uint64

	hashing sync.Mutex
	waits   *waiting // for a password hash
}

// New returns a locked engine whose secrets lie in arena.
func New(arena *memory.Arena) (*Engine, error) {
	inbox, err := newInbox()
	if err != nil {
		return nil, err
	}
	return &Engine{arena: arena, inbox: inbox}, nil
}

// Serve is Handle on encoded messages, as the pipe carries them.
func (e *Engine) Serve(ctx context.Context, request []byte) ([]byte, error) {
	if s, ok := protocol.ReadStaging(request); ok {
		return e.serveStage(s)
	}
	req := new(protocol.Request)
	if err := protocol.Unmarshal(request, req); err != nil {
		return nil, err
	}
	resp, err := e.answer(ctx, req)
	if err != nil {
		return nil, err
	}
	return protocol.Marshal(resp)
}

// answer is Handle for a request of the node, which may say what is on the disk.
func (e *Engine) answer(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	if err := e.commitBefore(req.Durable); err != nil {
		return refuse(err), nil
	}
	req.Durable = 0
	return e.Handle(ctx, req)
}

// Handle answers req. It trusts that the asker may ask; what a request must look
// like it checks itself.
func (e *Engine) Handle(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
	resp := e.handle(req)
	if resp.Change == nil {
		return resp, nil
	}
	answer := []*protocol.Response{resp}
	e.seal(answer)
	return answer[0], nil
}

// handle is Handle up to the entry of what has changed.
func (e *Engine) handle(req *protocol.Request) *protocol.Response {
	if refusal := protocol.Check(req, protocol.DoorZone); refusal != nil {
		return refusal
	}
	resp, err := e.dispatch(req)
	if err != nil {
		return refuse(err)
	}
	resp.Status = protocol.Status_OK
	return resp
}

func (e *Engine) dispatch(req *protocol.Request) (*protocol.Response, error) {
	switch req.Operation {
	case "zone.key":
		return &protocol.Response{PublicKey: e.inbox.public()}, nil
	case "zone.create":
		return e.create(req)
	case "zone.hash":
		return e.work(req)
	case "zone.hashed":
		return e.goOn(req)
	case "zone.inspect":
		return inspect(req)
	case "zone.open":
		return e.open(req)
	case "zone.stage":
		answers, err := e.stage(len(req.Steps), func(i int) (*protocol.Request, error) { return req.Steps[i], nil })
		return &protocol.Response{Results: answers}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.state == nil {
		return nil, errLocked
	}
	return e.do(req)
}

// do is dispatch for what needs a state, which is there.
func (e *Engine) do(req *protocol.Request) (*protocol.Response, error) {
	if makes := e.makes(req.Operation); makes != nil {
		made, err := makes(req)
		return e.bring(req, made, err)
	}
	switch req.Operation {
	case "aes.unwrap":
		return e.unwrap(req)
	case "aes.wrap":
		return e.wrap(req)
	case "ed25519.sign":
		return e.sign(req)
	case "client.create":
		return e.createClient(req)
	case "client.list":
		return e.listClients(req)
	case "client.load":
		return e.loaded(req)
	case "client.purge":
		return e.purgeClient(req)
	case "client.unload":
		return e.unload(req)
	case "key.public":
		return e.public(req)
	case "pipeline.run":
		return e.pipeline(req)
	case "record.copy", "record.move":
		return e.place(req)
	case "record.disable", "record.enable":
		return e.disable(req)
	case "record.exists":
		return e.exists(req)
	case "record.list":
		return e.list(req)
	case "record.revoke":
		return e.revoke(req)
	case "record.stat":
		return e.stat(req)
	case "record.type":
		return e.retype(req)
	case "slip10.derive":
		return e.derive(req)
	case "slot.add":
		return e.addSlot(req)
	case "slot.list":
		return e.listSlots()
	case "slot.remove":
		return e.removeSlot(req)
	case "snapshot.export":
		return e.giveOut(req)
	case "snapshot.import":
		return e.bringIn(req)
	case "snapshot.rekey":
		return e.rekey(req)
	case "store.get":
		return e.get(req)
	case "store.list":
		return e.listKeys(req)
	case "store.put", "store.swap":
		return e.put(req)
	case "store.remove":
		return e.drop(req)
	case "vault.keep":
		return e.keepVersions(req)
	case "vault.stat":
		return e.vaultStat(req)
	case "zone.abort":
		return e.abort(req.Sequence)
	case "zone.adopt":
		return e.adopt()
	case "zone.carry":
		return e.carry()
	case "zone.collect":
		return e.collect()
	case "zone.commit":
		return e.commit(req.Sequence)
	case "zone.fold":
		return e.fold(req)
	case "zone.load":
		return e.load(req)
	}
	return nil, errUnsupported
}

// Errors that only the engine makes.
var (
	errLocked      = errors.New("engine: locked")
	errUnsupported = errors.New("engine: unsupported")
	errBusy        = errors.New("engine: busy")
	errFull        = errors.New("engine: full")
	errOlder       = errors.New("engine: older than what is known")
	errUnknown     = errors.New("engine: nothing is known of what was written last")
	errOther       = errors.New("engine: not of the lineage that is known")
)

// refuse is the one place where an error becomes a status.
func refuse(err error) *protocol.Response {
	var input *procedures.InputError
	var version *snapshot.VersionError
	var damaged *snapshot.DamagedError
	var cost *snapshot.CostError
	var unsealed sealedError
	var crowded *crowdedError
	var usedUp usedUpError
	var foreign *foreignError
	var large *tooLargeError
	var many *tooManyError
	var limit *vault.LimitError
	var conflict *conflictError
	var step *stepError
	switch {
	case errors.As(err, &step):
		return protocol.InStep(step.step, refuse(step.err))
	case errors.As(err, &foreign):
		return foreign.refusal()
	case errors.As(err, &large):
		return protocol.Refuse(protocol.Status_NO_SPACE, large.Error())
	case errors.As(err, &limit):
		return protocol.Refuse(protocol.Status_NO_SPACE, limit.Error())
	case errors.As(err, &many):
		return protocol.Refuse(protocol.Status_NO_SPACE, many.Error())
	case errors.As(err, &conflict):
		return protocol.Refuse(protocol.Status_EXISTS, conflict.Error())
	case errors.As(err, &input):
		return protocol.Invalid(input.Field, input.Reason)
	case errors.As(err, &unsealed):
		return protocol.Invalid(string(unsealed), "does not open: it was sealed to another zone or to an older key of it, or for another request")
	case errors.As(err, &usedUp):
		return protocol.Refuse(protocol.Status_NO_SPACE, usedUp.Error())
	case errors.As(err, &crowded):
		return &protocol.Response{Status: protocol.Status_LIMITED, Detail: crowded.Error(), RetryAfterMs: uint32(max(1, crowded.wait.Milliseconds()))}
	case errors.Is(err, errLocked):
		return protocol.Refuse(protocol.Status_LOCKED, "")
	case errors.Is(err, errUnsupported):
		return protocol.Refuse(protocol.Status_UNSUPPORTED, "no such operation here")
	case errors.Is(err, errBusy):
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "something else is under way")
	case errors.Is(err, vault.ErrStaged):
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "the client is being changed")
	case errors.Is(err, vault.ErrNotLoaded):
		return protocol.Refuse(protocol.Status_NOT_LOADED, "")
	case errors.Is(err, vault.ErrNotFound):
		return protocol.Refuse(protocol.Status_NOT_FOUND, "")
	case errors.Is(err, vault.ErrOld):
		return protocol.Invalid("location", "the vault keeps its last versions, and this is older")
	case errors.Is(err, vault.ErrExists):
		return protocol.Refuse(protocol.Status_EXISTS, "")
	case errors.Is(err, vault.ErrDisabled):
		return protocol.Refuse(protocol.Status_DISABLED, "")
	case errors.Is(err, vault.ErrSame):
		return protocol.Invalid("target", "it is where it is already")
	case errors.Is(err, procedures.ErrFlags):
		return protocol.Refuse(protocol.Status_WRONG_KIND, "its flags do not allow it")
	case errors.Is(err, procedures.ErrKind):
		return protocol.Refuse(protocol.Status_WRONG_KIND, "")
	case errors.Is(err, procedures.ErrLoses):
		return protocol.Refuse(protocol.Status_EXISTS, "it has more bytes than its kind keeps; they would be lost")
	case errors.Is(err, vault.ErrConflict):
		return protocol.Refuse(protocol.Status_CONFLICT, "")
	case errors.Is(err, vault.ErrFull):
		return protocol.Refuse(protocol.Status_NO_SPACE, "the client's store is full")
	case errors.Is(err, vault.ErrTooLarge), errors.Is(err, memory.ErrFull), errors.Is(err, errFull):
		return protocol.Refuse(protocol.Status_NO_SPACE, "")
	case errors.Is(err, errOlder):
		return protocol.Refuse(protocol.Status_OLDER, "")
	case errors.Is(err, errUnknown):
		return protocol.Refuse(protocol.Status_OLDER, "it is not known what was written last in this home: its state.db is new, or of another")
	case errors.Is(err, errOther):
		return protocol.Refuse(protocol.Status_OLDER, "the snapshot is not one that was written here: it is another home's, or from before the last rekey")
	case errors.Is(err, snapshot.ErrNotASnapshot):
		return protocol.Refuse(protocol.Status_NOT_A_SNAPSHOT, "")
	case errors.As(err, &version):
		return protocol.Refuse(protocol.Status_UNSUPPORTED_VERSION, version.Error())
	case errors.Is(err, snapshot.ErrNotAKey):
		return protocol.Invalid("secret", "it holds a key, and is not exactly one: one line AGE-SECRET-KEY-… or STRONGHOLD-KEY-…, with nothing but comments (#) around it")
	case errors.Is(err, snapshot.ErrLastSlot):
		return protocol.Invalid("secret", "slot: the last one stays")
	case errors.Is(err, snapshot.ErrSlots):
		return protocol.Refuse(protocol.Status_NO_SPACE, "there are as many key slots as there can be")
	case errors.Is(err, snapshot.ErrNoSlotFits):
		return protocol.Refuse(protocol.Status_NO_SLOT, "none is for a key of this sort")
	case errors.Is(err, snapshot.ErrNoSlot):
		return protocol.Refuse(protocol.Status_NO_SLOT, "there is none of this number")
	case errors.Is(err, snapshot.ErrWrongKey):
		return protocol.Refuse(protocol.Status_WRONG_KEY, "")
	case errors.As(err, &damaged):
		return protocol.Refuse(protocol.Status_DAMAGED, damaged.Error())
	case errors.As(err, &cost):
		return protocol.Refuse(protocol.Status_TOO_EXPENSIVE, cost.Error())
	}
	return protocol.Refuse(protocol.Status_INTERNAL, "")
}

// place turns a location into where the vault keeps it.
func place(l *protocol.Location) vault.Place {
	p := vault.In(l.Client, l.Vault)
	if l.ClientId != nil {
		p.Client = vault.ID(l.ClientId)
	}
	if l.VaultId != nil {
		p.Vault = vault.ID(l.VaultId)
	}
	switch {
	case l.RecordId != nil:
		p.Record = vault.ID(l.RecordId)
	case l.Head:
		p.Counter, p.Head = true, true
	case l.Version != nil && p.VaultName != nil:
		p = p.Version(*l.Version)
	case l.Record != nil:
		p.RecordName = l.Record
		p.Record = vault.RecordID(p.Vault, l.Record)
	}
	return p
}

// clientID is the id of the client in l.
func clientID(l *protocol.Location) vault.ID {
	if l.ClientId != nil {
		return vault.ID(l.ClientId)
	}
	return vault.ClientID(l.Client)
}

// location is place the other way round: names where they are known.
func location(p vault.Place) *protocol.Location {
	l := &protocol.Location{Client: p.ClientName, Vault: p.VaultName, Record: p.RecordName}
	if l.Client == nil {
		l.ClientId = p.Client[:]
	}
	if l.Vault == nil {
		l.VaultId = p.Vault[:]
	}
	switch {
	case p.Counter:
		l.Version = &p.Number
	case l.Record == nil:
		l.RecordId = p.Record[:]
	}
	return l
}

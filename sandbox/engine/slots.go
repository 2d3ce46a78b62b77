package engine

import (
	"fmt"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
)

// proof opens the proof of a request: what it asks for, sealed together with a key
// that opens a slot. fields are those that the operation takes. The caller wipes
// it with wipeProof.
func (e *Engine) proof(req *protocol.Request, fields ...string) (*protocol.Proof, error) {
	if req.Secret == nil {
		return nil, &procedures.InputError{Field: "secret", Reason: "missing"}
	}
	plain, err := e.unseal(req)
	if err != nil {
		return nil, err
	}
	defer memory.Wipe(plain)
	p := new(protocol.Proof)
	if err := protocol.Unmarshal(plain, p); err != nil {
		return nil, &procedures.InputError{Field: "secret", Reason: "not a message Proof"}
	}
	if err := checkProof(p, fields); err != nil {
		wipeProof(p)
		return nil, err
	}
	return p, nil
}

func checkProof(p *protocol.Proof, fields []string) error {
	bad := func(reason string) error { return &procedures.InputError{Field: "secret", Reason: reason} }
	for name, there := range map[string]bool{"new_key": p.NewKey != nil, "recipient": p.Recipient != "", "cost": p.Cost != 0,
		"label": p.Label != "", "slot": p.Slot != 0, "format": p.Format != ""} {
		for _, f := range fields {
			there = there && f != name
		}
		if there {
			return bad("the proof has " + name + ", which is not for this operation")
		}
	}
	switch {
	case p.Cost != 0 && (p.Cost < snapshot.MinCost || p.Cost > snapshot.MaxCost):
		return bad(fmt.Sprintf("cost: must be %d to %d", snapshot.MinCost, snapshot.MaxCost))
	case len(p.Label) > snapshot.MaxLabel:
		return bad(fmt.Sprintf("label: at most %d bytes", snapshot.MaxLabel))
	case p.NewKey != nil && len(p.NewKey) == 0:
		return bad("new_key: a passphrase is not empty")
	case p.NewKey != nil && p.Recipient != "":
		return bad("new_key and recipient: one of them")
	}
	return nil
}

func wipeProof(p *protocol.Proof) {
	memory.Wipe(p.Key)
	memory.Wipe(p.NewKey)
}

// prove has a proof tried on the slots, along with more in the job, and goes on if
// it opens one. e.mu is held for reading, here and by finish.
func (e *Engine) prove(req *protocol.Request, p *protocol.Proof, job *protocol.Job, finish func(*protocol.Hashed) (*protocol.Response, error)) (*protocol.Response, error) {
	_, header := e.inForce()
	job.Header, job.Key = header.Encode(), p.Key
	job.MaxCost = snapshot.MaxMaxCost // it is our own file, and known to be
	return e.hash(req, job, func(h *protocol.Hashed) (*protocol.Response, error) {
		e.mu.RLock()
		defer e.mu.RUnlock()
		if e.state == nil {
			return nil, errLocked
		}
		if keys, _ := e.inForce(); !keys.Are(h.Root) {
			return nil, snapshot.ErrWrongKey
		}
		return finish(h)
	})
}

// inForce are the keys and the header of the file. A fold may bring others.
func (e *Engine) inForce() (*snapshot.Keys, *snapshot.Header) {
	e.journal.Lock()
	defer e.journal.Unlock()
	return e.state.Keys, e.state.Header
}

// renewal is what the next file is to have instead of what this one has.
type renewal struct {
	keys   *snapshot.Keys // nil: the same
	header *snapshot.Header
}

// renew has the next fold write a file with another header, and with another root
// key if keys are given. The node folds at once. A file that does not come to be
// takes the renewal with it.
func (e *Engine) renew(keys *snapshot.Keys, header *snapshot.Header) {
	e.journal.Lock()
	defer e.journal.Unlock()
	e.renewal.drop()
	e.renewal = &renewal{keys, header}
}

func (r *renewal) drop() {
	if r != nil && r.keys != nil {
		r.keys.Destroy()
	}
}

func (e *Engine) listSlots() (*protocol.Response, error) {
	_, header := e.inForce()
	return &protocol.Response{Slots: slotsOf(header)}, nil
}

var slotKinds = map[snapshot.SlotKind]string{snapshot.PassphraseSlot: "passphrase", snapshot.RecipientSlot: "recipient", snapshot.KeySlot: "key"}

func slotsOf(h *snapshot.Header) (out []*protocol.Slot) {
	for i := range h.Slots {
		s := &h.Slots[i]
		slot := &protocol.Slot{Kind: slotKinds[s.Kind], Number: uint32(s.Number), Label: s.Label, CreatedMs: uint64(s.Created), Recipient: s.Recipient}
		if cost, ok := s.Cost(); ok {
			slot.Cost = uint32(cost)
		}
		out = append(out, slot)
	}
	return out
}

func (e *Engine) addSlot(req *protocol.Request) (*protocol.Response, error) {
	p, err := e.proof(req, "new_key", "recipient", "cost", "label")
	if err != nil {
		return nil, err
	}
	defer wipeProof(p)
	job := new(protocol.Job)
	var slot snapshot.Slot
	switch {
	case p.NewKey != nil:
		job.NewKey = &protocol.NewKey{Key: p.NewKey, Cost: p.Cost}
	case p.Recipient == "":
		return nil, &procedures.InputError{Field: "secret", Reason: "the proof has neither new_key nor recipient"}
	default:
		if slot, err = snapshot.NewRecipientSlot(p.Recipient); err != nil {
			return nil, &procedures.InputError{Field: "secret", Reason: "recipient: not a public key of age"}
		}
	}
	return e.prove(req, p, job, func(h *protocol.Hashed) (*protocol.Response, error) {
		if job.NewKey != nil {
			slot = slotOf(h)
		}
		slot.Label = p.Label
		keys, header := e.inForce()
		next, number, err := header.With(slot)
		if err != nil {
			return nil, err
		}
		if next, err = keys.Wrap(next); err != nil {
			return nil, err
		}
		e.renew(nil, next)
		for _, s := range slotsOf(next) {
			if s.Number == uint32(number) {
				return &protocol.Response{Slots: []*protocol.Slot{s}}, nil
			}
		}
		return nil, snapshot.ErrNoSlot
	})
}

// slotOf is the slot that the other zone has made, without the root key.
func slotOf(h *protocol.Hashed) snapshot.Slot {
	return snapshot.Slot{Kind: snapshot.SlotKind(h.SlotKind), Recipient: h.Recipient, Lock: h.Lock}
}

func (e *Engine) removeSlot(req *protocol.Request) (*protocol.Response, error) {
	p, err := e.proof(req, "slot")
	if err != nil {
		return nil, err
	}
	defer wipeProof(p)
	if p.Slot == 0 || p.Slot > 255 {
		return nil, snapshot.ErrNoSlot
	}
	_, header := e.inForce()
	if _, err := header.Without(uint8(p.Slot)); err != nil {
		return nil, err // before anything is hashed
	}
	return e.prove(req, p, new(protocol.Job), func(*protocol.Hashed) (*protocol.Response, error) {
		_, header := e.inForce()
		next, err := header.Without(uint8(p.Slot))
		if err != nil {
			return nil, err
		}
		return e.renewRoot(next)
	})
}

func (e *Engine) rekey(req *protocol.Request) (*protocol.Response, error) {
	p, err := e.proof(req)
	if err != nil {
		return nil, err
	}
	defer wipeProof(p)
	return e.prove(req, p, new(protocol.Job), func(*protocol.Hashed) (*protocol.Response, error) {
		_, header := e.inForce()
		return e.renewRoot(header)
	})
}

// renewRoot has the next file written under a new root key, for these slots.
func (e *Engine) renewRoot(header *snapshot.Header) (*protocol.Response, error) {
	keys, _ := e.inForce()
	next, header, err := renewed(keys, header)
	if err != nil {
		return nil, err
	}
	e.renew(next, header)
	return new(protocol.Response), nil
}

// renewed are keys with another root key, and the header whose slots hold it.
func renewed(keys *snapshot.Keys, header *snapshot.Header) (*snapshot.Keys, *snapshot.Header, error) {
	next, err := keys.Renew()
	if err != nil {
		return nil, nil, err
	}
	if header, err = next.Wrap(header); err != nil {
		next.Destroy()
		return nil, nil, err
	}
	return next, header, nil
}

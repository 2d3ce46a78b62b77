package engine

import (
	"bytes"
	"errors"
	"time"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// storeKey is where a value lies: a client, and a key in its store. A session's
// store does not keep the names of clients.
func storeKey(req *protocol.Request) (client vault.Place, key []byte) {
	l := req.Location // its vault is a key, and has no id
	client.Client = clientID(l)
	if !req.Session {
		client.ClientName = l.Client
	}
	return client, l.Vault
}

// oldKey is where Stronghold 0.3 and 0.4 (Rust) kept the value that a program
// asked for by this key: under the id of a vault. Imported stores have such keys.
func oldKey(key []byte) []byte {
	id := vault.VaultID(key)
	return id[:]
}

// store is where req's values are: in the state, or in the session's, of which
// nothing is ever written to a file.
func (e *Engine) store(req *protocol.Request) *vault.DB {
	if req.Session {
		return e.session
	}
	return e.state.DB
}

// changeStore is change for a store. A session's has one step: there is no disk to wait for.
func (e *Engine) changeStore(req *protocol.Request, resp *protocol.Response, f func(*vault.Tx) error) error {
	if !req.Session {
		return e.change(req, resp, f)
	}
	c, err := e.session.Stage(f)
	if err != nil || c == nil {
		return err
	}
	if err := e.session.Commit(c.Sequence); err != nil {
		return err
	}
	e.awaitExpiry()
	return nil
}

func (e *Engine) get(req *protocol.Request) (*protocol.Response, error) {
	client, key := storeKey(req)
	db := e.store(req)
	if err := db.Learn(client); err != nil {
		return nil, err
	}
	it, err := db.Get(client.Client, key)
	if errors.Is(err, vault.ErrNotFound) {
		it, err = db.Get(client.Client, oldKey(key))
	}
	if err != nil {
		return nil, err
	}
	value := it.Value
	if value == nil {
		value = []byte{} // there is a value, and it is empty
	}
	entries, err := e.storeEntries(req.Location, it)
	return &protocol.Response{Value: value, Entries: entries}, err
}

// put writes a value, for store.swap only if what is there is what the asker expects.
func (e *Engine) put(req *protocol.Request) (*protocol.Response, error) {
	client, key := storeKey(req)
	expect := vault.Expect{Absent: req.IfAbsent, Value: req.IfValue, Version: req.IfVersion, In: e.state.DB}
	swap := req.Operation == "store.swap"
	if swap {
		switch {
		case !expect.Absent && expect.Value == nil && expect.Version == 0:
			return nil, &procedures.InputError{Field: "if_value", Reason: "missing: say what is expected, or if_version, or if_absent"}
		case expect.Absent && (expect.Value != nil || expect.Version != 0):
			return nil, &procedures.InputError{Field: "if_absent", Reason: "nothing and something are not there at once"}
		}
	}
	e.store(req).Sweep()
	resp := newResponse()
	written := vault.Item{Key: key}
	err := e.changeStore(req, resp, func(tx *vault.Tx) error {
		if swap {
			if err := tx.Expect(client.Client, key, expect); err != nil {
				return err
			}
		}
		written.Changed = tx.Stamp()
		var expires int64
		if req.TtlMs != 0 {
			expires = written.Changed.UnixMilli + int64(req.TtlMs) // exactly: what passes within a day is not counted here
		}
		// They stay, and are pieces of the message, which need not.
		return tx.PutItem(client, bytes.Clone(key), bytes.Clone(req.Value), expires)
	})
	if err != nil {
		return resp, err
	}
	version, err := e.state.DB.ItemVersions(&written)
	if err != nil {
		panic("engine: internal error: the key of what is open is gone")
	}
	resp.Version = &version[0]
	return resp, nil
}

func (e *Engine) drop(req *protocol.Request) (*protocol.Response, error) {
	client, key := storeKey(req)
	resp := newResponse()
	return resp, e.changeStore(req, resp, func(tx *vault.Tx) error {
		err := tx.RemoveItem(client, key)
		if errors.Is(err, vault.ErrNotFound) {
			err = tx.RemoveItem(client, oldKey(key))
		}
		return err
	})
}

// storeEntries are what is told of values besides what they are.
func (e *Engine) storeEntries(in *protocol.Location, items ...*vault.Item) ([]*protocol.Entry, error) {
	versions, err := e.state.DB.ItemVersions(items...)
	if err != nil {
		return nil, err
	}
	entries := make([]*protocol.Entry, len(items))
	for i, it := range items {
		entries[i] = &protocol.Entry{
			Location:  &protocol.Location{Client: in.Client, ClientId: in.ClientId, Vault: it.Key},
			ChangedMs: uint64(it.Changed.UnixMilli), ExpiresMs: uint64(it.Expires), Version: versions[i],
		}
	}
	return entries, nil
}

// sweepDelay is how long what has expired stays in memory, so that what expires
// together goes together. Nobody is given it meanwhile.
const sweepDelay = 200 * time.Millisecond

// awaitExpiry has what has expired leave memory soon after. While nothing expires
// there is no timer.
func (e *Engine) awaitExpiry() {
	at, ok := e.state.DB.Expires()
	if of, has := e.session.Expires(); has && (!ok || of < at) {
		at, ok = of, true
	}
	e.expiring.Lock()
	defer e.expiring.Unlock()
	switch {
	case !ok || e.expiry != nil && e.expiryAt <= at: // the timer that runs comes in time
		return
	case e.expiry != nil:
		e.expiry.Stop()
	}
	e.expiryAt = at
	e.expiry = time.AfterFunc(max(0, time.Until(time.UnixMilli(at)))+sweepDelay, e.sweep)
}

func (e *Engine) sweep() {
	e.expiring.Lock()
	e.expiry = nil
	e.expiring.Unlock()
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.state == nil {
		return
	}
	e.state.DB.Sweep()
	e.session.Sweep()
	e.awaitExpiry()
}

package engine

import (
	"errors"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// storeKey is where a value lies: a client, and a key in its store.
func storeKey(l *protocol.Location) (client vault.Place, key []byte) {
	p := place(l)
	return vault.Place{Client: p.Client, ClientName: p.ClientName}, l.Vault
}

// oldKey is where Stronghold 0.3 and 0.4 (Rust) kept the value that a program
// asked for by this key: under the id of a vault. Imported stores have such keys.
func oldKey(key []byte) []byte {
	id := vault.VaultID(key)
	return id[:]
}

func (e *Engine) get(req *protocol.Request) (*protocol.Response, error) {
	client, key := storeKey(req.Location)
	if err := e.state.DB.Learn(client); err != nil {
		return nil, err
	}
	it, err := e.state.DB.Get(client.Client, key)
	if errors.Is(err, vault.ErrNotFound) {
		it, err = e.state.DB.Get(client.Client, oldKey(key))
	}
	if err != nil {
		return nil, err
	}
	value := it.Value
	if value == nil {
		value = []byte{} // there is a value, and it is empty
	}
	return &protocol.Response{Value: value, Entries: []*protocol.Entry{storeEntry(req.Location, it)}}, nil
}

func (e *Engine) put(req *protocol.Request) (*protocol.Response, error) {
	client, key := storeKey(req.Location)
	e.state.DB.Sweep()
	var expires int64
	if req.TtlMs != 0 {
		expires = time.Now().UnixMilli() + int64(req.TtlMs)
	}
	resp := new(protocol.Response)
	return resp, e.change(resp, func(tx *vault.Tx) error { return tx.PutItem(client, key, req.Value, expires) })
}

func (e *Engine) drop(req *protocol.Request) (*protocol.Response, error) {
	client, key := storeKey(req.Location)
	resp := new(protocol.Response)
	return resp, e.change(resp, func(tx *vault.Tx) error {
		err := tx.RemoveItem(client, key)
		if errors.Is(err, vault.ErrNotFound) {
			err = tx.RemoveItem(client, oldKey(key))
		}
		return err
	})
}

func (e *Engine) keys(req *protocol.Request) (*protocol.Response, error) {
	limit := int(req.Limit)
	if limit == 0 {
		limit = defaultPage
	}
	page, more := e.state.DB.Items(place(req.Location).Client, req.After, limit)
	resp := new(protocol.Response)
	for _, it := range page {
		resp.Entries = append(resp.Entries, storeEntry(req.Location, it))
	}
	if more {
		resp.Next = page[len(page)-1].Key
	}
	return resp, nil
}

func storeEntry(in *protocol.Location, it *vault.Item) *protocol.Entry {
	return &protocol.Entry{
		Location:  &protocol.Location{Client: in.Client, ClientId: in.ClientId, Vault: it.Key},
		ChangedMs: uint64(it.Changed.UnixMilli), ExpiresMs: uint64(it.Expires),
	}
}

package rust

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Before 0.4 a record was a chain of transactions, each sealed with its own random id as associated data:
//
//	data        1 u64 | transaction id | chain id | counter u64 | blob id | hint [24]
//	revocation  2 u64 | transaction id | chain id | counter u64 | zeros
//	init       10 u64 | transaction id | chain id | counter u64 | zeros
//
// The id of the chain is that of the record, and the counter puts a chain in order. What a chain says:
// an init begins it and forgets all before; the last data is its value; a revocation ends it, unless data follows.
type link struct {
	kind    uint64
	id      ID
	chain   ID
	counter uint64
	blob    ID
	hint    [24]byte
	off     int // of the sealed transaction in the content
}

func parseLink(b []byte) (l link, ok bool) {
	if len(b) != txSize {
		return l, false
	}
	l.kind = binary.BigEndian.Uint64(b)
	copy(l.id[:], b[8:])
	copy(l.chain[:], b[32:])
	l.counter = binary.BigEndian.Uint64(b[56:])
	switch l.kind {
	case txData:
		copy(l.blob[:], b[64:])
		copy(l.hint[:], b[88:])
		return l, true
	case txRevocation, txInit:
		return l, allZero(b[64:])
	}
	return l, false
}

// decodeChained opens the content of Stronghold 0.3.
func decodeChained(data []byte) (*State, error) { return decodeOld(data, false) }

// decodeAlpha opens the content of Stronghold 0.2, which differs in three things: it has no store, it files the content
// of a vault under the vault's key, and its boxes have the tag at the end.
func decodeAlpha(data []byte) (*State, error) { return decodeOld(data, true) }

func decodeOld(data []byte, alpha bool) (*State, error) {
	raw, err := parseOldState(data, alpha)
	if err != nil {
		return nil, err
	}
	s := &State{Clients: make([]Client, 0, len(raw))}
	for i := range raw {
		c, err := openOldClient(&raw[i], alpha)
		s.Clients = append(s.Clients, c)
		if err != nil {
			s.Wipe()
			return nil, err
		}
	}
	if !sortByID(s.Clients, func(c *Client) ID { return c.ID }) {
		s.Wipe()
		return nil, &DamagedError{Stage: StageState, Reason: "a client comes twice"}
	}
	return s, nil
}

func openOldClient(raw *rawOldClient, alpha bool) (Client, error) {
	c := Client{ID: raw.id}
	if raw.inner != raw.id {
		return c, &DamagedError{Stage: StageState, Offset: raw.off, Reason: "client is filed under the id of another"}
	}
	var err error
	if c.Store, err = openCache(raw.store); err != nil {
		return c, err
	}
	if !sortByID(raw.keys, func(k *rawKey) ID { return k.vault }) {
		return c, &DamagedError{Stage: StageState, Offset: raw.keys[0].off, Reason: "a vault's key comes twice"}
	}
	for i := range raw.vaults {
		v := &raw.vaults[i]
		if !findKey(v, raw.keys, alpha) {
			return c, &DamagedError{Stage: StageVault, Offset: v.off, Reason: "a vault without a key, or a key without a vault"}
		}
		vault, err := openChains(v, alpha)
		vault.Counter = raw.counter(v.id)
		c.Vaults = append(c.Vaults, vault)
		if err != nil {
			return c, err
		}
	}
	if !sortByID(c.Vaults, func(v *Vault) ID { return v.ID }) {
		return c, &DamagedError{Stage: StageState, Offset: raw.off, Reason: "a vault comes twice"}
	}
	addEmptyVaults(&c, raw.keys)
	return c, nil
}

// findKey completes the vault: 0.3 names it by its id, the alpha by its key, and the key store has the other half.
func findKey(v *rawChains, keys []rawKey, alpha bool) bool {
	if !alpha {
		v.key = lookupKey(keys, v.id)
		return v.key != nil
	}
	for _, k := range keys {
		if bytes.Equal(k.key, v.key) {
			v.id = k.vault
			return true
		}
	}
	return false
}

func openChains(raw *rawChains, alpha bool) (Vault, error) {
	v := Vault{ID: raw.id}
	open := openBox
	if alpha {
		open = openAlphaBox
	}

	blobs := make(map[ID]rawRead)
	seen := make(map[ID]bool)
	chains := make(map[ID][]link)
	for _, e := range raw.reads {
		damaged := func(reason string) (Vault, error) {
			return v, &DamagedError{Stage: StageVault, Offset: e.off, Reason: reason}
		}
		if len(e.id) != idSize {
			return damaged("invalid id")
		}
		id := ID(e.id)
		if e.kind == kindBlob {
			if _, ok := blobs[id]; ok {
				return damaged("a value comes twice")
			}
			blobs[id] = e
			continue
		}
		plain, err := open(raw.key, e.id, e.data)
		if err != nil {
			return damaged("transaction does not open")
		}
		l, ok := parseLink(plain)
		if !ok {
			return damaged("invalid transaction")
		}
		if l.id != id {
			return damaged("transaction is filed under the id of another")
		}
		if seen[id] {
			return damaged("a transaction comes twice")
		}
		seen[id] = true
		l.off = e.off
		chains[l.chain] = append(chains[l.chain], l)
	}

	used := make(map[ID]bool)
	for id, chain := range chains {
		r, data, garbage := followChain(id, chain)
		v.Garbage += garbage
		if r == nil {
			continue
		}
		if data != nil {
			blob, ok := blobs[data.blob]
			if !ok {
				return v, &DamagedError{Stage: StageVault, Offset: data.off, Reason: "value is missing"}
			}
			used[data.blob] = true
			r.Hint = trimHint(data.hint)
			if r.Revoked {
				r.sealed = keepSealed(sealedSecret{[KeySize]byte(raw.key), data.blob, blob.data, open, blob.off})
			} else {
				secret, err := open(raw.key, data.blob[:], blob.data)
				if err != nil {
					return v, &DamagedError{Stage: StageVault, Offset: blob.off, Reason: "secret does not open"}
				}
				r.Secret = secret
			}
		}
		v.Records = append(v.Records, *r)
	}
	v.Garbage += len(blobs) - len(used)
	sortByID(v.Records, func(r *Record) ID { return r.ID })
	return v, nil
}

// followChain returns the record that a chain makes and the transaction that has its value, and how many transactions
// are neither. The record is nil if the chain never began; data is nil if nothing was ever written: the program then
// gave out an empty value.
func followChain(id ID, chain []link) (r *Record, data *link, garbage int) {
	// Stable: the program kept the order of the file where two counters were the same.
	slices.SortStableFunc(chain, func(a, b link) int {
		switch {
		case a.counter < b.counter:
			return -1
		case a.counter > b.counter:
			return 1
		}
		return 0
	})
	garbage = len(chain)
	for i := range chain {
		l := &chain[i]
		switch {
		case l.kind == txInit:
			r, data = &Record{ID: id}, nil
		case r == nil: // what comes before the first init has no effect
		case l.kind == txData:
			r.Revoked, data = false, l
		case l.kind == txRevocation:
			r.Revoked = true
		}
	}
	if r == nil {
		return nil, nil, garbage
	}
	garbage-- // its init
	if data != nil {
		garbage--
	}
	if r.Revoked {
		garbage--
	}
	return r, data, garbage
}

package rust

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"slices"
)

// Transactions are what a record is made of: 112 bytes, integers big-endian, zeros at the end, each sealed by itself.
const (
	txSize = 112

	txData       = 1
	txRevocation = 2
	txInit       = 10 // before 0.4 only
)

// transaction is the data or revocation transaction of 0.4 to 2.0.1:
//
//	data        type u64 | length of the secret u64 | record id | blob id | hint [24] | zeros [24]
//	revocation  type u64 | record id | zeros
type transaction struct {
	kind   uint64
	length uint64
	record ID
	blob   ID
	hint   [24]byte
}

// parseTransaction reports false for anything that marshal would not write.
func parseTransaction(b []byte) (tx transaction, ok bool) {
	if len(b) != txSize {
		return tx, false
	}
	tx.kind = binary.BigEndian.Uint64(b)
	switch tx.kind {
	case txData:
		tx.length = binary.BigEndian.Uint64(b[8:])
		copy(tx.record[:], b[16:])
		copy(tx.blob[:], b[40:])
		copy(tx.hint[:], b[64:])
		return tx, allZero(b[88:])
	case txRevocation:
		copy(tx.record[:], b[8:])
		return tx, allZero(b[32:])
	}
	return tx, false
}

func (tx transaction) marshal() []byte {
	b := make([]byte, txSize)
	binary.BigEndian.PutUint64(b, tx.kind)
	if tx.kind == txRevocation {
		copy(b[8:], tx.record[:])
		return b
	}
	binary.BigEndian.PutUint64(b[8:], tx.length)
	copy(b[16:], tx.record[:])
	copy(b[40:], tx.blob[:])
	copy(b[64:], tx.hint[:])
	return b
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// trimHint removes the zeros that pad a hint. The program does not keep its length.
func trimHint(hint [24]byte) []byte { return bytes.Clone(bytes.TrimRight(hint[:], "\x00")) }

// decodeState opens the content of Stronghold 0.4 to 2.0.1.
func decodeState(data []byte) (*State, error) {
	raw, err := parseState(data)
	if err != nil {
		return nil, err
	}
	s := &State{Clients: make([]Client, 0, len(raw))}
	for i := range raw {
		c, err := openClient(&raw[i])
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

// openClient returns what it has opened so far along with an error, so that the caller can wipe it.
func openClient(raw *rawClient) (Client, error) {
	c := Client{ID: raw.id}
	var err error
	if c.Store, err = openCache(raw.store); err != nil {
		return c, err
	}
	if !sortByID(raw.keys, func(k *rawKey) ID { return k.vault }) {
		return c, &DamagedError{Stage: StageState, Offset: raw.keys[0].off, Reason: "a vault's key comes twice"}
	}
	for i := range raw.vaults {
		v := &raw.vaults[i]
		// The program looks a key up in the key store and compares it with the vault's own when it uses the vault. One
		// place is enough to read; two that differ leave open which of them the records are sealed with.
		if key := lookupKey(raw.keys, v.id); key != nil && subtle.ConstantTimeCompare(key, v.key) != 1 {
			return c, &DamagedError{Stage: StageVault, Offset: v.off, Err: ErrVaultKeys}
		}
		vault, err := openVault(v)
		c.Vaults = append(c.Vaults, vault)
		if err != nil {
			return c, err
		}
	}
	if !sortByID(c.Vaults, func(v *Vault) ID { return v.ID }) {
		return c, &DamagedError{Stage: StageState, Reason: "a vault comes twice"}
	}
	addEmptyVaults(&c, raw.keys)
	return c, nil
}

func lookupKey(keys []rawKey, vault ID) []byte {
	i, ok := slices.BinarySearchFunc(keys, vault, func(k rawKey, id ID) int { return compareID(k.vault, id) })
	if !ok {
		return nil
	}
	return keys[i].key
}

// addEmptyVaults adds the vaults that have a key and no content: to the program they exist. Keys and vaults are sorted.
func addEmptyVaults(c *Client, keys []rawKey) {
	known := len(c.Vaults)
	for _, k := range keys {
		_, ok := slices.BinarySearchFunc(c.Vaults[:known], k.vault, func(v Vault, id ID) int { return compareID(v.ID, id) })
		if !ok {
			c.Vaults = append(c.Vaults, Vault{ID: k.vault})
		}
	}
	sortByID(c.Vaults, func(v *Vault) ID { return v.ID })
}

func openVault(raw *rawVault) (Vault, error) {
	v := Vault{ID: raw.id, Records: make([]Record, 0, len(raw.records))}
	for i := range raw.records {
		r, err := openRecord(&raw.records[i], raw.key)
		if err != nil {
			return v, err
		}
		v.Records = append(v.Records, r)
	}
	if !sortByID(v.Records, func(r *Record) ID { return r.ID }) {
		return v, &DamagedError{Stage: StageState, Offset: raw.off, Reason: "a record comes twice"}
	}
	return v, nil
}

func openRecord(raw *rawRecord, key []byte) (Record, error) {
	damaged := func(reason string) (Record, error) {
		return Record{}, &DamagedError{Stage: StageVault, Offset: raw.off, Reason: reason}
	}
	if raw.mapKey != raw.id {
		return damaged("record is filed under the id of another")
	}
	plain, err := openBox(key, raw.id[:], raw.data)
	if err != nil {
		return damaged("data transaction does not open")
	}
	tx, ok := parseTransaction(plain)
	if !ok || tx.kind != txData {
		return damaged("invalid data transaction")
	}
	if tx.record != raw.id {
		return damaged("data transaction is that of another record")
	}
	if uint64(len(raw.blob)) < boxOverhead || tx.length != uint64(len(raw.blob)-boxOverhead) {
		return damaged("secret is not as long as its transaction says")
	}

	r := Record{ID: raw.id, Hint: trimHint(tx.hint), Revoked: raw.revoked}
	if !raw.revoked {
		secret, err := openBox(key, tx.blob[:], raw.blob)
		if err != nil {
			return damaged("secret does not open")
		}
		r.Secret = secret
		return r, nil
	}

	plain, err = openBox(key, raw.id[:], raw.revoke)
	if err != nil {
		return damaged("revocation does not open")
	}
	if revoke, ok := parseTransaction(plain); !ok || revoke.kind != txRevocation {
		return damaged("invalid revocation")
	} else if revoke.record != raw.id {
		return damaged("revocation is that of another record")
	}
	r.sealed = keepSealed(sealedSecret{[KeySize]byte(key), tx.blob, raw.blob, openBox, raw.off})
	return r, nil
}

func openCache(raw rawCache) ([]Entry, error) {
	store := make([]Entry, 0, len(raw.table))
	for _, e := range raw.table {
		entry := Entry{Key: bytes.Clone(e.key), Value: bytes.Clone(e.value)}
		if e.expires != nil {
			var ok bool
			if entry.Expires, ok = e.expires.time(); !ok {
				return store, &DamagedError{Stage: StageState, Offset: raw.off, Reason: "invalid time"}
			}
		}
		store = append(store, entry)
	}
	if !sortEntries(store) {
		return store, &DamagedError{Stage: StageState, Offset: raw.off, Reason: "an entry comes twice"}
	}
	return store, nil
}

package rust

import (
	"crypto/rand"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Encode writes the state as a snapshot file of version 3, which Stronghold 2.x reads, under the key of [KeySize] bytes.
//
// The work factor is scrypt's, 0 to 23 (the Rust program writes 19). It takes 2^workFactor KiB of memory here and at
// each opening. 0 is for a key that nobody can guess: made from a real password hash, or at random.
//
// Every vault and every value is sealed anew, so that no two files are alike. A revoked record is written as revoked,
// with the secret that it had in the file it came from, or else with its Secret. The state is not changed.
//
// Errors: [ErrKeySize], [ErrState]; a [*DamagedError] for the secret of a revoked record that does not open.
func Encode(s *State, key []byte, workFactor int) ([]byte, error) {
	fileKey, header, err := NewFileKey(key, workFactor)
	if err != nil {
		return nil, err
	}
	defer clear(fileKey)
	return EncodeUnder(s, fileKey, header)
}

// NewFileKey is the first half of [Encode], with the password hash: it makes the key that the content of a file is
// encrypted under, which the caller wipes, and the beginning of the file, which wraps it.
//
// Errors: [ErrKeySize], and one for a work factor that is not 0 to 23.
func NewFileKey(key []byte, workFactor int) (fileKey, header []byte, err error) {
	if len(key) != KeySize {
		return nil, nil, ErrKeySize
	}
	if workFactor < 0 || workFactor > maxWorkFactor {
		return nil, nil, fmt.Errorf("rust: the work factor must be 0 to %d", maxWorkFactor)
	}
	return newFileKey(key, workFactor)
}

// EncodeUnder is the second half of [Encode], with what [NewFileKey] has made.
//
// Errors: [ErrKeySize], [ErrState]; a [*DamagedError] for the secret of a revoked record that does not open.
func EncodeUnder(s *State, fileKey, header []byte) ([]byte, error) {
	if len(fileKey) != ageFileKey {
		return nil, ErrKeySize
	}
	raw := make([]rawClient, len(s.Clients))
	defer wipeKeys(raw)
	for i := range s.Clients {
		var err error
		if raw[i], err = sealClient(&s.Clients[i]); err != nil {
			return nil, err
		}
	}
	if !sortByID(raw, func(c *rawClient) ID { return c.id }) {
		return nil, fmt.Errorf("%w: a client comes twice", ErrState)
	}

	state := marshalState(raw)
	defer clear(state)
	block := compress(state)
	defer clear(block)
	size := len(header) + 256 + len(block) + (len(block)/ageChunkPlain+1)*chacha20poly1305.Overhead
	return sealStream(fileKey, append(make([]byte, 0, size), header...), block), nil
}

func wipeKeys(clients []rawClient) {
	for _, c := range clients {
		for _, k := range c.keys {
			clear(k.key)
		}
	}
}

func sealClient(c *Client) (rawClient, error) {
	raw := rawClient{id: c.ID}
	for i := range c.Vaults {
		key := make([]byte, KeySize)
		rand.Read(key)
		// The program wants the key in both places, and the same.
		raw.keys = append(raw.keys, rawKey{vault: c.Vaults[i].ID, key: key})
		v, err := sealVault(&c.Vaults[i], key)
		if err != nil {
			return raw, err
		}
		raw.vaults = append(raw.vaults, v)
	}
	if !sortByID(raw.vaults, func(v *rawVault) ID { return v.id }) {
		return raw, fmt.Errorf("%w: a vault comes twice", ErrState)
	}
	sortByID(raw.keys, func(k *rawKey) ID { return k.vault })

	store := slices.Clone(c.Store)
	if !sortEntries(store) {
		return raw, fmt.Errorf("%w: an entry comes twice", ErrState)
	}
	for _, e := range store {
		entry := rawEntry{key: e.Key, value: e.Value}
		if !e.Expires.IsZero() {
			if e.Expires.Unix() < 0 {
				return raw, fmt.Errorf("%w: an entry expires before 1970", ErrState)
			}
			entry.expires = &duration{uint64(e.Expires.Unix()), uint32(e.Expires.Nanosecond())}
		}
		raw.store.table = append(raw.store.table, entry)
	}
	return raw, nil
}

func sealVault(v *Vault, key []byte) (rawVault, error) {
	raw := rawVault{id: v.ID, key: key}
	for i := range v.Records {
		r, err := sealRecord(&v.Records[i], key)
		if err != nil {
			return raw, err
		}
		raw.records = append(raw.records, r)
	}
	if !sortByID(raw.records, func(r *rawRecord) ID { return r.id }) {
		return raw, fmt.Errorf("%w: a record comes twice", ErrState)
	}
	return raw, nil
}

func sealRecord(r *Record, key []byte) (rawRecord, error) {
	raw := rawRecord{mapKey: r.ID, id: r.ID, revoked: r.Revoked}
	tx := transaction{kind: txData, record: r.ID}
	if len(r.Hint) > len(tx.hint) {
		return raw, fmt.Errorf("%w: a hint is longer than %d bytes", ErrState, len(tx.hint))
	}
	copy(tx.hint[:], r.Hint)
	rand.Read(tx.blob[:])

	secret := r.Secret
	if r.sealed != nil {
		opened, err := r.RevokedSecret()
		if err != nil {
			return raw, err
		}
		defer opened.Wipe()
		secret = opened
	}
	tx.length = uint64(len(secret))
	raw.data = sealBox(key, r.ID[:], tx.marshal())
	raw.blob = sealBox(key, tx.blob[:], secret)
	if r.Revoked {
		raw.revoke = sealBox(key, r.ID[:], transaction{kind: txRevocation, record: r.ID}.marshal())
	}
	return raw, nil
}

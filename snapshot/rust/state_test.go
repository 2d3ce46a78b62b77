package rust

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"testing"
)

// rawSample returns a content of one client with one vault: a live record, a revoked one and one entry. The parts are
// memory of its own, to be damaged.
func rawSample() rawClient {
	key := randomBytes(KeySize)
	live, _ := sealRecord(&Record{ID: ID{1}, Secret: Secret("live"), Hint: []byte("hint")}, key)
	revoked, _ := sealRecord(&Record{ID: ID{2}, Secret: Secret("revoked"), Revoked: true}, key)
	return rawClient{
		id:     ID{10},
		keys:   []rawKey{{vault: ID{20}, key: bytes.Clone(key)}},
		vaults: []rawVault{{id: ID{20}, key: key, records: []rawRecord{live, revoked}}},
		store: rawCache{
			table:    []rawEntry{{key: []byte("key"), value: []byte("value"), expires: &duration{1 << 33, 999999999}}},
			scanFreq: &duration{1, 2}, created: duration{3, 4}, lastScan: &duration{5, 6},
		},
	}
}

func TestStateBytes(t *testing.T) {
	for _, clients := range [][]rawClient{nil, {{id: ID{1}}}, {rawSample(), {id: ID{3}}, rawSample()}} {
		content := marshalState(clients)
		raw, err := parseState(content)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(marshalState(raw), content) {
			t.Error("written back to other bytes")
		}
		for n := range content {
			if _, err := parseState(content[:n]); err == nil {
				t.Errorf("cut at %d unnoticed", n)
			} else if classify(t, err) != string(StageState) {
				t.Error(err)
			}
		}
		if _, err := parseState(append(content, 0)); err == nil {
			t.Error("a byte too many")
		}
	}
}

func TestStateDamaged(t *testing.T) {
	seal := func(c *rawClient, ad ID, tx []byte) []byte { return sealBox(c.vaults[0].key, ad[:], tx) }
	data := func(c *rawClient, change func(*transaction)) {
		r := &c.vaults[0].records[0]
		tx := transaction{kind: txData, length: 4, record: r.id}
		change(&tx)
		r.data = seal(c, r.id, tx.marshal())
	}
	for _, test := range []struct {
		name   string
		stage  Stage
		damage func(c *rawClient)
	}{
		{"key store has another key", StageVault, func(c *rawClient) { c.keys[0].key[31] ^= 1 }},
		{"vault has another key", StageVault, func(c *rawClient) { c.vaults[0].key[0] ^= 1 }},
		{"both have another key", StageVault, func(c *rawClient) { c.vaults[0].key[0] ^= 1; c.keys[0].key[0] ^= 1 }},
		{"short key", StageState, func(c *rawClient) { c.keys[0].key = c.keys[0].key[1:] }},
		{"long vault key", StageState, func(c *rawClient) { c.vaults[0].key = append(c.vaults[0].key, 0) }},
		{"key twice", StageState, func(c *rawClient) { c.keys = append(c.keys, c.keys[0]) }},
		{"vault twice", StageState, func(c *rawClient) { c.vaults = append(c.vaults, c.vaults[0]) }},
		{"record twice", StageState, func(c *rawClient) {
			c.vaults[0].records = append(c.vaults[0].records, c.vaults[0].records[0])
		}},
		{"entry twice", StageState, func(c *rawClient) { c.store.table = append(c.store.table, c.store.table[0]) }},
		{"map key", StageVault, func(c *rawClient) { c.vaults[0].records[0].mapKey[5] ^= 1 }},
		{"record id", StageVault, func(c *rawClient) { c.vaults[0].records[0].id[5] ^= 1 }},
		{"both ids", StageVault, func(c *rawClient) {
			c.vaults[0].records[0].id[5] ^= 1
			c.vaults[0].records[0].mapKey[5] ^= 1
		}},
		{"records swapped", StageVault, func(c *rawClient) {
			r := c.vaults[0].records
			r[0].data, r[1].data = r[1].data, r[0].data
		}},
		{"secrets swapped", StageVault, func(c *rawClient) {
			r := c.vaults[0].records
			r[0].blob, r[1].blob = r[1].blob, r[0].blob
		}},
		{"revoked with a data transaction", StageVault, func(c *rawClient) {
			r := c.vaults[0].records
			r[0].revoked, r[0].revoke = true, r[0].data
		}},
		{"revoked by that of another", StageVault, func(c *rawClient) {
			r := c.vaults[0].records
			r[0].revoked, r[0].revoke = true, r[1].revoke
		}},
		{"empty revocation", StageVault, func(c *rawClient) { c.vaults[0].records[1].revoke = nil }},
		{"revocation says another id", StageVault, func(c *rawClient) {
			c.vaults[0].records[1].revoke = seal(c, ID{2}, transaction{kind: txRevocation, record: ID{1}}.marshal())
		}},
		{"empty transaction", StageVault, func(c *rawClient) { c.vaults[0].records[0].data = nil }},
		{"short transaction", StageVault, func(c *rawClient) { c.vaults[0].records[0].data = seal(c, ID{1}, make([]byte, 111)) }},
		{"transaction says another id", StageVault, func(c *rawClient) {
			data(c, func(tx *transaction) { tx.record = ID{2} })
		}},
		{"transaction of another kind", StageVault, func(c *rawClient) { data(c, func(tx *transaction) { tx.kind = txRevocation }) }},
		{"transaction of no kind", StageVault, func(c *rawClient) { data(c, func(tx *transaction) { tx.kind = txInit }) }},
		{"transaction says another length", StageVault, func(c *rawClient) { data(c, func(tx *transaction) { tx.length = 5 }) }},
		{"length of a revoked record", StageVault, func(c *rawClient) {
			tx := transaction{kind: txData, length: 1, record: ID{2}}
			c.vaults[0].records[1].data = seal(c, ID{2}, tx.marshal())
		}},
		{"transaction names another blob", StageVault, func(c *rawClient) { data(c, func(tx *transaction) {}) }},
		{"transaction is not zero at the end", StageVault, func(c *rawClient) {
			tx := transaction{kind: txData, length: 4, record: ID{1}}.marshal()
			tx[88] = 1
			c.vaults[0].records[0].data = seal(c, ID{1}, tx)
		}},
		{"revocation is not zero at the end", StageVault, func(c *rawClient) {
			tx := transaction{kind: txRevocation, record: ID{2}}.marshal()
			tx[111] = 1
			c.vaults[0].records[1].revoke = seal(c, ID{2}, tx)
		}},
		{"empty secret box", StageVault, func(c *rawClient) { c.vaults[0].records[0].blob = nil }},
		{"damaged secret", StageVault, func(c *rawClient) { c.vaults[0].records[0].blob[41] ^= 1 }},
		{"nanoseconds", StageState, func(c *rawClient) { c.store.table[0].expires.nanos = 1e9 }},
		{"nanoseconds of the last scan", StageState, func(c *rawClient) { c.store.lastScan.nanos = math.MaxUint32 }},
		{"expires too late", StageState, func(c *rawClient) { c.store.table[0].expires.secs = math.MaxInt64 }},
		{"expires far too late", StageState, func(c *rawClient) { c.store.table[0].expires.secs = math.MaxUint64 }},
	} {
		c := rawSample()
		test.damage(&c)
		s, err := decodeState(marshalState([]rawClient{{id: ID{99}}, c}))
		if s != nil || err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		if got := classify(t, err); got != string(test.stage) {
			t.Errorf("%s: %v", test.name, err)
		}
		if wrapped := errors.Is(err, ErrVaultKeys); wrapped != (test.name == "key store has another key" || test.name == "vault has another key") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	c := rawSample()
	if _, err := decodeState(marshalState([]rawClient{c, c})); classify(t, err) != string(StageState) {
		t.Errorf("client twice: %v", err)
	}
}

// One copy of a vault's key is enough, and a key without a vault is an empty vault.
func TestVaultKeyCopies(t *testing.T) {
	c := rawSample()
	c.keys[0].vault = ID{30}
	s, err := decodeState(marshalState([]rawClient{c}))
	if err != nil {
		t.Fatal(err)
	}
	vaults := s.Clients[0].Vaults
	if len(vaults) != 2 || vaults[0].ID != (ID{20}) || string(vaults[0].Records[0].Secret) != "live" ||
		vaults[1].ID != (ID{30}) || len(vaults[1].Records) != 0 {
		t.Errorf("%+v", vaults)
	}
}

// The program does not check what a content of a real key cannot have by accident. Here every byte of it counts or says
// nothing that is kept: the times of the store.
func TestStateEveryByte(t *testing.T) {
	content := marshalState([]rawClient{rawSample()})
	if _, err := decodeState(content); err != nil {
		t.Fatal(err)
	}
	unnoticed, revoked := 0, 0
	for i := range content {
		bad := bytes.Clone(content)
		bad[i] ^= 0x10
		s, err := decodeState(bad)
		if err != nil {
			classify(t, err)
			continue
		}
		unnoticed++
		vaults := s.Clients[0].Vaults
		r := append(vaults[0].Records, vaults[len(vaults)-1].Records...) // one of two is empty
		if len(vaults) == 1 {
			r = vaults[0].Records
		}
		if len(r) != 2 || (string(r[0].Secret) != "live" || string(r[0].Hint) != "hint" || !r[1].Revoked) {
			t.Errorf("byte %d changed a record", i)
		}
		if _, err := r[len(r)-1].RevokedSecret(); err != nil {
			revoked++ // it is opened only when it is asked for
		}
	}
	if want := boxOverhead + len("revoked"); revoked != want {
		t.Errorf("%d bytes of the revoked secret count, want %d", revoked, want)
	}
	// Nothing in a file says what these must be: 24 bytes of the client's id, 24 in each place of the vault's (changed in
	// one of them, it is two vaults), 8 of the entry, 12 of each of four times but for those that are too late.
	if want := 24 + 2*24 + 8 + 4*12; unnoticed-revoked > want {
		t.Errorf("%d bytes were changed unnoticed, more than %d", unnoticed-revoked, want)
	}
	t.Logf("%d of %d bytes have no say in whether the content is valid", unnoticed, len(content))
}

// Counts and lengths that the content cannot hold are refused without memory for them.
func TestStateHostileCounts(t *testing.T) {
	content := marshalState([]rawClient{rawSample()})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, n := range []uint64{2, 1 << 10, 1 << 20, 1 << 31, 1 << 32, 1 << 40, 1 << 62, 1 << 63, math.MaxInt64, math.MaxUint64} {
		for off := 0; off+8 <= len(content); off++ {
			bad := bytes.Clone(content)
			binary.LittleEndian.PutUint64(bad[off:], n)
			if _, err := parseState(bad); err != nil {
				classify(t, err)
			}
			if _, err := parseOldState(bad, off%2 == 0); err != nil {
				classify(t, err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 200<<20 {
		t.Errorf("%d MiB were allocated for contents of %d bytes", spent>>20, len(content))
	}

	// The cheapest elements there are cost a small multiple of their bytes.
	empty := make([]rawClient, 10000)
	for i := range empty {
		binary.BigEndian.PutUint64(empty[i].id[:], uint64(i))
	}
	content = marshalState(empty)
	runtime.ReadMemStats(&before)
	if _, err := decodeState(content); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if ratio := (after.TotalAlloc - before.TotalAlloc) / uint64(len(content)); ratio > 10 {
		t.Errorf("decoding takes %d times the memory of the content", ratio)
	}
}

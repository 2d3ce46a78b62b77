package rust

import "math"

// The types here are the content of the files as it is written, before anything within is opened. Byte slices point
// into the content. What parses without an error is written back to the same bytes by marshal.

// rawClient is one element of the SnapshotState of Stronghold 0.4 to 2.0.1.
type rawClient struct {
	id     ID
	keys   []rawKey
	vaults []rawVault
	store  rawCache
}

// rawKey is an element of the key store: the first of the two places that have the vault's key.
type rawKey struct {
	vault ID
	key   []byte
	off   int
}

type rawVault struct {
	id      ID
	key     []byte
	records []rawRecord
	off     int
}

type rawRecord struct {
	mapKey  ID // where the map has it
	id      ID // what it says itself
	data    []byte
	revoked bool
	revoke  []byte
	blob    []byte
	off     int
}

// rawCache is the store. All but its table is of no use to anyone.
type rawCache struct {
	table    []rawEntry
	scanFreq *duration
	created  duration
	lastScan *duration
	off      int
}

type rawEntry struct {
	key, value []byte
	expires    *duration
}

// The least sizes of the elements, with everything in them empty.
const (
	idSize         = len(ID{})
	minKeySize     = idSize + 8 + KeySize
	minRecordSize  = idSize + idSize + 8 + 1 + 8
	minVaultSize   = idSize + 8 + KeySize + 8
	minEntrySize   = 8 + 8 + 1
	cacheTailSize  = 1 + 12 + 1
	minClientSize  = idSize + 8 + 8 + 8 + cacheTailSize
	stateCountSize = 8
)

func parseState(data []byte) ([]rawClient, error) {
	r := &bincodeReader{data: data}
	clients := make([]rawClient, r.count(minClientSize))
	for i := range clients {
		c := &clients[i]
		c.id = r.id()
		c.keys = r.keys()
		c.vaults = make([]rawVault, r.count(minVaultSize))
		for j := range c.vaults {
			v := &c.vaults[j]
			v.off = r.off
			v.id = r.id()
			v.key = r.key()
			v.records = make([]rawRecord, r.count(minRecordSize))
			for k := range v.records {
				v.records[k] = r.record()
			}
		}
		c.store = r.cache()
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return clients, nil
}

// key reads the key of a vault, a Vec<u8> of 32 bytes.
func (r *bincodeReader) key() []byte {
	off := r.off
	b := r.bytes()
	if r.err == nil && len(b) != KeySize {
		r.off = off
		r.fail("vault key is not of 32 bytes")
	}
	return b
}

func (r *bincodeReader) keys() []rawKey {
	keys := make([]rawKey, r.count(minKeySize))
	for i := range keys {
		keys[i].off = r.off
		keys[i].vault = r.id()
		keys[i].key = r.key()
	}
	return keys
}

func (r *bincodeReader) record() rawRecord {
	e := rawRecord{off: r.off}
	e.mapKey = r.id()
	e.id = r.id()
	e.data = r.bytes()
	if e.revoked = r.option(); e.revoked {
		e.revoke = r.bytes()
	}
	e.blob = r.bytes()
	return e
}

func (r *bincodeReader) cache() rawCache {
	c := rawCache{off: r.off}
	c.table = make([]rawEntry, r.count(minEntrySize))
	for i := range c.table {
		c.table[i] = rawEntry{key: r.bytes(), value: r.bytes(), expires: r.optionalDuration()}
	}
	c.scanFreq = r.optionalDuration()
	c.created = r.duration()
	c.lastScan = r.optionalDuration()
	return c
}

// marshalState is the way back. It allocates once: the result has every vault's key, and memory that is outgrown cannot
// be wiped.
func marshalState(clients []rawClient) []byte {
	size := stateCountSize
	for _, c := range clients {
		size += minClientSize + len(c.keys)*minKeySize + len(c.vaults)*minVaultSize + 12*2
		for _, v := range c.vaults {
			for _, e := range v.records {
				size += minRecordSize + 8 + len(e.data) + len(e.revoke) + len(e.blob)
			}
		}
		for _, e := range c.store.table {
			size += minEntrySize + len(e.key) + len(e.value) + 12
		}
	}

	w := make(bincodeWriter, 0, size)
	w.count(len(clients))
	for _, c := range clients {
		w.id(c.id)
		w.count(len(c.keys))
		for _, k := range c.keys {
			w.id(k.vault)
			w.bytes(k.key)
		}
		w.count(len(c.vaults))
		for _, v := range c.vaults {
			w.id(v.id)
			w.bytes(v.key)
			w.count(len(v.records))
			for _, e := range v.records {
				w.id(e.mapKey)
				w.id(e.id)
				w.bytes(e.data)
				w.option(e.revoked)
				if e.revoked {
					w.bytes(e.revoke)
				}
				w.bytes(e.blob)
			}
		}
		w.cache(c.store)
	}
	if len(w) > size {
		panic("rust: internal error: content was not measured")
	}
	return w
}

func (w *bincodeWriter) cache(c rawCache) {
	w.count(len(c.table))
	for _, e := range c.table {
		w.bytes(e.key)
		w.bytes(e.value)
		w.optionalDuration(e.expires)
	}
	w.optionalDuration(c.scanFreq)
	w.duration(c.created)
	w.optionalDuration(c.lastScan)
}

// The content of Stronghold 0.2, the alpha, and of 0.3: chains of transactions in a flat list.

// rawOldClient is one element of their SnapshotState.
type rawOldClient struct {
	id       ID
	inner    ID // the client's own copy of its id
	listed   []rawListed
	heads    []ID
	counters []uint64
	store    rawCache // 0.3 only
	keys     []rawKey
	vaults   []rawChains
	off      int
}

// rawListed is what the client knew of a vault: which of heads and counters is the vault's, and the ids of its records.
type rawListed struct {
	vault   ID
	index   uint64
	records []ID
}

// rawChains is the content of one vault. 0.3 has it under the vault's id, the alpha under the vault's key.
type rawChains struct {
	id    ID
	key   []byte
	reads []rawRead
	off   int
}

// rawRead is a ReadResult: a sealed transaction, or a sealed value ("blob").
type rawRead struct {
	kind uint32
	id   []byte
	data []byte
	off  int
}

const (
	kindTransaction = 0
	kindBlob        = 1

	minListedSize = idSize + 8 + 8
	minReadSize   = 4 + 8 + 8

	// Without the store of 0.3, for which the check is a little weaker than it could be.
	minOldClientSize = idSize + idSize + 8 + 8 + 8 + 8 + 8
)

// isChained tells the content of 0.3 from that of 0.4, which have the same version in the file. After the id of the
// first client 0.3 has the id again, where 0.4 has a number of keys: one that no file could hold.
func isChained(data []byte) bool {
	const second = stateCountSize + idSize
	return len(data) >= second+idSize && ID(data[stateCountSize:second]) == ID(data[second:second+idSize])
}

func parseOldState(data []byte, alpha bool) ([]rawOldClient, error) {
	r := &bincodeReader{data: data}
	clients := make([]rawOldClient, r.count(minOldClientSize))
	for i := range clients {
		c := &clients[i]
		c.off = r.off
		c.id = r.id()
		c.inner = r.id()
		c.listed = make([]rawListed, r.count(minListedSize))
		for j := range c.listed {
			c.listed[j] = rawListed{vault: r.id(), index: r.u64(), records: r.ids()}
		}
		c.heads = r.ids()
		c.counters = make([]uint64, r.count(8))
		for j := range c.counters {
			c.counters[j] = r.u64()
		}
		if !alpha {
			c.store = r.cache()
		}
		c.keys = r.keys()
		minSize := idSize + 8
		if alpha {
			minSize = 8 + KeySize + 8
		}
		c.vaults = make([]rawChains, r.count(minSize))
		for j := range c.vaults {
			v := &c.vaults[j]
			v.off = r.off
			if alpha {
				v.key = r.key()
			} else {
				v.id = r.id()
			}
			v.reads = make([]rawRead, r.count(minReadSize))
			for k := range v.reads {
				v.reads[k] = r.read()
			}
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return clients, nil
}

func (r *bincodeReader) ids() []ID {
	ids := make([]ID, r.count(idSize))
	for i := range ids {
		ids[i] = r.id()
	}
	return ids
}

func (r *bincodeReader) read() rawRead {
	e := rawRead{off: r.off}
	e.kind = r.u32()
	if e.kind > kindBlob {
		r.off -= 4
		r.fail("invalid kind")
	}
	e.id = r.bytes()
	e.data = r.bytes()
	return e
}

// counter returns the write counter of a vault, or 0 if the client had none for it.
func (c *rawOldClient) counter(vault ID) uint64 {
	for _, l := range c.listed {
		if l.vault == vault && l.index < math.MaxInt && int(l.index) < len(c.counters) {
			return c.counters[l.index]
		}
	}
	return 0
}

package rust

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// No file of Stronghold 0.2 or 0.3 was found. What is tested here was made by the writer below, from the same
// description as the reader: it shows that the two agree, and not that the description is right. (The container of
// version 1 was checked against vectors of the Rust repository, and the LZ4 and X25519 of version 2 by real files.)

// marshalOldState writes the content of 0.3, or of the alpha.
func marshalOldState(clients []rawOldClient, alpha bool) []byte {
	w := make(bincodeWriter, 0, 1024)
	ids := func(list []ID) {
		w.count(len(list))
		for _, id := range list {
			w.id(id)
		}
	}
	w.count(len(clients))
	for _, c := range clients {
		w.id(c.id)
		w.id(c.inner)
		w.count(len(c.listed))
		for _, l := range c.listed {
			w.id(l.vault)
			w.u64(l.index)
			ids(l.records)
		}
		ids(c.heads)
		w.count(len(c.counters))
		for _, n := range c.counters {
			w.u64(n)
		}
		if !alpha {
			w.cache(c.store)
		}
		w.count(len(c.keys))
		for _, k := range c.keys {
			w.id(k.vault)
			w.bytes(k.key)
		}
		w.count(len(c.vaults))
		for _, v := range c.vaults {
			if alpha {
				w.bytes(v.key)
			} else {
				w.id(v.id)
			}
			w.count(len(v.reads))
			for _, e := range v.reads {
				w = binary.LittleEndian.AppendUint32(w, e.kind)
				w.bytes(e.id)
				w.bytes(e.data)
			}
		}
	}
	return w
}

func (l link) marshal() []byte {
	b := make([]byte, txSize)
	binary.BigEndian.PutUint64(b, l.kind)
	copy(b[8:], l.id[:])
	copy(b[32:], l.chain[:])
	binary.BigEndian.PutUint64(b[56:], l.counter)
	if l.kind == txData {
		copy(b[64:], l.blob[:])
		copy(b[88:], l.hint[:])
	}
	return b
}

// sealAlphaBox returns nonce ‖ ciphertext ‖ tag.
func sealAlphaBox(key, ad, plain []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, 256)
	rand.Read(nonce)
	return xchacha(key).Seal(nonce, nonce, plain, ad)
}

// chainWriter writes the vault of an old client as the program did: every write adds, nothing is ever changed.
type chainWriter struct {
	rawChains
	seal func(key, ad, plain []byte) []byte
	next map[ID]uint64
}

func newChainWriter(path string, alpha bool) *chainWriter {
	w := &chainWriter{seal: sealBox, next: make(map[ID]uint64)}
	if alpha {
		w.seal = sealAlphaBox
	}
	w.id = VaultID([]byte(path))
	w.key = randomBytes(KeySize)
	return w
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (w *chainWriter) add(l link) link {
	l.id = ID(randomBytes(24))
	l.counter = w.next[l.chain]
	w.next[l.chain]++
	w.reads = append(w.reads, rawRead{kind: kindTransaction, id: l.id[:], data: w.seal(w.key, l.id[:], l.marshal())})
	return l
}

func (w *chainWriter) init(record ID)   { w.add(link{kind: txInit, chain: record}) }
func (w *chainWriter) revoke(record ID) { w.add(link{kind: txRevocation, chain: record}) }

func (w *chainWriter) write(record ID, secret, hint string) {
	l := link{kind: txData, chain: record, blob: ID(randomBytes(24))}
	copy(l.hint[:], hint)
	w.add(l)
	w.reads = append(w.reads, rawRead{kind: kindBlob, id: l.blob[:], data: w.seal(w.key, l.blob[:], []byte(secret))})
}

func oldClient(path string, vaults ...*chainWriter) rawOldClient {
	c := rawOldClient{id: ClientID([]byte(path)), inner: ClientID([]byte(path))}
	for i, w := range vaults {
		c.keys = append(c.keys, rawKey{vault: w.id, key: w.key})
		c.vaults = append(c.vaults, w.rawChains)
		c.listed = append(c.listed, rawListed{vault: w.id, index: uint64(i), records: []ID{{1}, {2}}})
		c.heads = append(c.heads, ID{2})
		c.counters = append(c.counters, uint64(len(w.reads)))
	}
	return c
}

// oldFile wraps the content in the container that its release wrote.
func oldFile(t testing.TB, clients []rawOldClient, alpha bool) []byte {
	t.Helper()
	content := marshalOldState(clients, alpha)
	if alpha {
		return sealV1(content, testKey())
	}
	return sealV2(t, compress(content), testKey())
}

func eachOld(t *testing.T, test func(t *testing.T, alpha bool)) {
	t.Run("0.3", func(t *testing.T) { test(t, false) })
	t.Run("alpha", func(t *testing.T) { test(t, true) })
}

func TestChains(t *testing.T) {
	id := func(name string) ID { return RecordID([]byte("vault"), []byte(name)) }
	eachOld(t, func(t *testing.T, alpha bool) {
		w := newChainWriter("vault", alpha)
		w.init(id("one"))
		w.write(id("one"), "value", "a hint")
		for _, n := range []uint64{0, 1, 2} {
			w.init(CounterID([]byte("vault"), n))
			w.write(CounterID([]byte("vault"), n), string(rune('a'+n)), "")
		}
		w.init(id("updated"))
		w.write(id("updated"), "first", "first hint")
		w.write(id("updated"), "second", "")
		w.write(id("updated"), "third", "third hint") // 2 transactions and 2 values are garbage
		w.init(id("revoked"))
		w.write(id("revoked"), "gone", "gone hint")
		w.revoke(id("revoked"))
		w.init(id("revived"))
		w.write(id("revived"), "before", "")
		w.revoke(id("revived"))
		w.write(id("revived"), "after", "") // 2 and 1
		w.init(id("truncated"))
		w.write(id("truncated"), "old", "")
		w.init(id("truncated")) // 2 and 1
		w.init(id("begun again"))
		w.write(id("begun again"), "old", "")
		w.revoke(id("begun again"))
		w.init(id("begun again"))
		w.write(id("begun again"), "new", "") // 3 and 1
		w.init(id("empty"))
		w.init(id("never written"))
		w.revoke(id("never written"))
		w.write(id("no init"), "orphan", "") // 1 and 1
		w.init(id("nothing"))
		w.write(id("nothing"), "", "")
		w.reads = append(w.reads, rawRead{kind: kindBlob, id: randomBytes(24), data: randomBytes(90)}) // 1 value

		// The program kept no order, and neither must the reader need one.
		shuffled := newChainWriter("vault", alpha)
		shuffled.rawChains = w.rawChains
		shuffled.reads = nil
		for i := range w.reads {
			shuffled.reads = append(shuffled.reads, w.reads[(i*37+11)%len(w.reads)])
		}

		for _, w := range []*chainWriter{w, shuffled} {
			c := oldClient("client", w, newChainWriter("empty vault", alpha))
			c.counters[0] = 17
			if !alpha {
				c.store = rawCache{
					table: []rawEntry{
						{key: []byte("b"), value: []byte("2"), expires: &duration{1700000000, 5}},
						{key: []byte("a"), value: []byte("1")},
					},
					scanFreq: &duration{60, 0}, created: duration{1600000000, 1}, lastScan: &duration{1600000060, 0},
				}
			}
			s, err := Open(oldFile(t, []rawOldClient{c}, alpha), testKey(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := map[ID]struct {
				secret, hint string
				revoked      bool
			}{
				id("one"):                     {"value", "a hint", false},
				CounterID([]byte("vault"), 0): {"a", "", false},
				CounterID([]byte("vault"), 1): {"b", "", false},
				CounterID([]byte("vault"), 2): {"c", "", false},
				id("updated"):                 {"third", "third hint", false},
				id("revoked"):                 {"gone", "gone hint", true},
				id("revived"):                 {"after", "", false},
				id("truncated"):               {"", "", false},
				id("begun again"):             {"new", "", false},
				id("empty"):                   {"", "", false},
				id("never written"):           {"", "", true},
				id("nothing"):                 {"", "", false},
			}
			if len(s.Clients) != 1 || len(s.Clients[0].Vaults) != 2 || s.Clients[0].ID != ClientID([]byte("client")) {
				t.Fatalf("%+v", s)
			}
			for _, v := range s.Clients[0].Vaults {
				if v.ID == VaultID([]byte("empty vault")) {
					if len(v.Records) != 0 || v.Garbage != 0 {
						t.Errorf("empty vault: %+v", v)
					}
					continue
				}
				if v.Counter != 17 || v.Garbage != (4+3+3+4+2+1) {
					t.Errorf("counter %d, garbage %d", v.Counter, v.Garbage)
				}
				if len(v.Records) != len(want) {
					t.Errorf("%d records, want %d", len(v.Records), len(want))
				}
				for i, r := range v.Records {
					w, ok := want[r.ID]
					if !ok || r.Revoked != w.revoked || string(r.Hint) != w.hint {
						t.Errorf("record %d: revoked %v, hint %q; want %+v", i, r.Revoked, r.Hint, w)
					}
					secret := r.Secret
					if r.Revoked {
						if secret != nil {
							t.Error("the secret of a revoked record was opened")
						}
						if secret, err = r.RevokedSecret(); err != nil {
							t.Error(err)
						}
					}
					if string(secret) != w.secret {
						t.Errorf("record %d: another secret than %q", i, w.secret)
					}
					if i > 0 && compareID(v.Records[i-1].ID, r.ID) >= 0 {
						t.Error("records are not sorted")
					}
				}
			}
			if !alpha {
				store := s.Clients[0].Store
				if len(store) != 2 || string(store[0].Key) != "a" || !store[0].Expires.IsZero() ||
					string(store[1].Value) != "2" || !store[1].Expires.Equal(time.Unix(1700000000, 5)) {
					t.Errorf("store: %+v", store)
				}
			}
			// An old file goes out as a new one.
			reencode(t, s)
		}
	})
}

// Two transactions with one counter, as no honest program writes, keep the order of the file.
func TestChainTies(t *testing.T) {
	record := ID{1}
	w := newChainWriter("vault", false)
	w.init(record)
	w.write(record, "first", "")
	w.next[record]--
	w.write(record, "second", "")
	c := oldClient("client", w)
	c.counters = nil // the client has lost count
	s, err := Open(oldFile(t, []rawOldClient{c}, false), testKey(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := s.Clients[0].Vaults[0]
	if len(v.Records) != 1 || string(v.Records[0].Secret) != "second" || v.Counter != 0 {
		t.Errorf("%+v", v)
	}
}

func TestChainsDamaged(t *testing.T) {
	record := ID{1}
	eachOld(t, func(t *testing.T, alpha bool) {
		for _, test := range []struct {
			name   string
			stage  Stage
			damage func(w *chainWriter, c *rawOldClient)
		}{
			{"client id", StageState, func(_ *chainWriter, c *rawOldClient) { c.id[23] ^= 1 }},
			{"no key", StageVault, func(_ *chainWriter, c *rawOldClient) { c.keys = nil }},
			{"two keys", StageState, func(_ *chainWriter, c *rawOldClient) { c.keys = append(c.keys, c.keys[0]) }},
			{"vault twice", StageState, func(_ *chainWriter, c *rawOldClient) { c.vaults = append(c.vaults, c.vaults[0]) }},
			{"short key", StageState, func(w *chainWriter, c *rawOldClient) { c.keys[0].key = w.key[1:] }},
			{"kind", StageState, func(w *chainWriter, _ *rawOldClient) { w.reads[0].kind = 2 }},
			{"short id", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[0].id = w.reads[0].id[1:] }},
			{"other id", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[0].id = w.reads[1].id }},
			{"transaction twice", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[2] = w.reads[0] }},
			{"blob twice", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[0] = w.reads[2] }},
			{"no blob", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[2].id = randomBytes(24) }},
			{"damaged blob", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[2].data[30] ^= 1 }},
			{"short blob", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[2].data = w.reads[2].data[:39] }},
			{"damaged transaction", StageVault, func(w *chainWriter, _ *rawOldClient) { w.reads[1].data[30] ^= 1 }},
			{"wrong transaction id", StageVault, func(w *chainWriter, _ *rawOldClient) {
				w.reads[1].data = w.seal(w.key, w.reads[1].id, link{kind: txData, id: ID{9}}.marshal())
			}},
			{"unknown type", StageVault, func(w *chainWriter, _ *rawOldClient) {
				w.reads[1].data = w.seal(w.key, w.reads[1].id, link{kind: 3, id: ID(w.reads[1].id)}.marshal())
			}},
			{"long transaction", StageVault, func(w *chainWriter, _ *rawOldClient) {
				tx := append(link{kind: txInit, id: ID(w.reads[1].id)}.marshal(), 0)
				w.reads[1].data = w.seal(w.key, w.reads[1].id, tx)
			}},
			{"not zero at the end", StageVault, func(w *chainWriter, _ *rawOldClient) {
				tx := link{kind: txInit, id: ID(w.reads[1].id)}.marshal()
				tx[txSize-1] = 1
				w.reads[1].data = w.seal(w.key, w.reads[1].id, tx)
			}},
		} {
			w := newChainWriter("vault", alpha)
			w.init(record)
			w.write(record, "value", "")
			c := oldClient("client", w)
			test.damage(w, &c)
			c.vaults[0].reads = w.reads
			s, err := Open(oldFile(t, []rawOldClient{c}, alpha), testKey(), Options{})
			if s != nil || err == nil {
				t.Errorf("%s: no error", test.name)
			} else if got := classify(t, err); got != string(test.stage) {
				// A client id that is not repeated is no sign of 0.3: its content is read as that of 0.4.
				t.Errorf("%s: %v", test.name, err)
			}
		}
		w := newChainWriter("vault", alpha)
		twice := []rawOldClient{oldClient("client", w), oldClient("client", w)}
		if _, err := Open(oldFile(t, twice, alpha), testKey(), Options{}); classify(t, err) != string(StageState) {
			t.Errorf("client twice: %v", err)
		}
	})
}

// What parses is written back to the same bytes, and every cut is noticed.
func TestOldStateBytes(t *testing.T) {
	eachOld(t, func(t *testing.T, alpha bool) {
		w := newChainWriter("vault", alpha)
		w.init(ID{1})
		w.write(ID{1}, "value", "hint")
		w.revoke(ID{1})
		c := oldClient("client", w, newChainWriter("other", alpha))
		content := marshalOldState([]rawOldClient{c, oldClient("second")}, alpha)
		raw, err := parseOldState(content, alpha)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(marshalOldState(raw, alpha), content) {
			t.Error("written back to other bytes")
		}
		if isChained(content) != true {
			t.Error("not known as old")
		}
		for n := range content {
			if _, err := parseOldState(content[:n], alpha); err == nil {
				t.Errorf("cut at %d unnoticed", n)
			} else if classify(t, err) != string(StageState) {
				t.Error(err)
			}
		}
		if _, err := parseOldState(append(content, 0), alpha); err == nil {
			t.Error("a byte too many")
		}
	})
}

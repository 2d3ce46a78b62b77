package snapshot

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

var update = flag.Bool("update", false, "write fuzz seeds, and the generated parts of FORMAT.md, anew")

// fixedKeys have a root key that the seeds and the test vector were made with.
func fixedKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := keysFrom(newArena(t), func(b []byte) {
		for i := range b {
			b[i] = byte(i)
		}
	})
	if err == nil {
		k.records, err = newSecret(k.arena, func(b []byte) {
			for i := range b {
				b[i] = byte(keySize + i)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// again is a copy of k, for a reader to own.
func (k *Keys) again(t testing.TB) *Keys {
	t.Helper()
	var c *Keys
	err := k.root.Use(func(root []byte) (err error) {
		c, err = keysFrom(k.arena, func(b []byte) { copy(b, root) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readBelow reads a file as Read does once a slot has given it these keys.
func readBelow(t testing.TB, k *Keys, file []byte) (*State, error) {
	in := newBlocks(bytes.NewReader(file))
	h, mac, err := ReadHeader(in)
	if err != nil {
		return nil, in.explain(err)
	}
	return read(in, h, mac, k.again(t), Options{Arena: k.arena})
}

func FuzzReadHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, mac, err := ReadHeader(r)
		if err != nil {
			return
		}
		if got := append(h.encode(), mac...); !bytes.Equal(got, b[:len(b)-r.Len()]) {
			t.Errorf("read and written again: %x", got)
		}
		for _, s := range h.Slots {
			s.Cost()
		}
	})
}

func FuzzRead(f *testing.F) {
	k := fixedKeys(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readBelow(t, k, b)
		if err != nil {
			return
		}
		defer s.Close()
		if s.Length > int64(len(b)) || s.Base > s.Length || s.Recovered == zeros(b[s.Length:]) {
			t.Fatalf("base %d, length %d of %d bytes, recovered %v", s.Base, s.Length, len(b), s.Recovered)
		}
		whole, err := readBelow(t, k, b[:s.Length])
		if err != nil {
			t.Fatalf("what was recovered is refused: %v", err)
		}
		defer whole.Close()
		if whole.Recovered || whole.Length != s.Length || whole.Journal.Tag() != s.Journal.Tag() {
			t.Fatalf("what was recovered reads otherwise")
		}
		if got := rewritten(t, k, b[:s.Length]); !bytes.Equal(got, b[:s.Length]) {
			t.Fatalf("written again it is another file")
		}
		var out bytes.Buffer
		j, err := Write(&out, s.Keys, s.Header, s.DB.Freeze(), nil)
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		folded, err := readBelow(t, k, out.Bytes())
		if err != nil {
			t.Fatalf("folded and refused: %v", err)
		}
		defer folded.Close()
		if got, want := clients(t, folded.DB), clients(t, s.DB); !bytes.Equal(got, want) {
			t.Fatalf("folded into another state")
		}
		// Each client alone is what it is among all.
		view := s.DB.Freeze()
		for i := range view.Clients {
			c := &view.Clients[i]
			in := newBlocks(bytes.NewReader(b))
			h, mac, err := ReadHeader(in)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := read(in, h, mac, k.again(t), Options{Arena: k.arena, Only: map[vault.ID]bool{c.ID: true}})
			if err != nil {
				t.Fatalf("a client alone is refused: %v", err)
			}
			if alone.DB.Away() != len(view.Clients)-1 || plainOf(t, alone.DB, c.ID) != plainOf(t, s.DB, c.ID) {
				t.Fatalf("a client alone is another, or others are not there")
			}
			alone.Close()
		}
	})
}

// clients is the plaintext of all sections.
func clients(t testing.TB, db *vault.DB) []byte {
	t.Helper()
	var out bytes.Buffer
	view := db.Freeze()
	for i := range view.Clients {
		if err := encodeClient(&out, &view.Clients[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func FuzzEntry(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		if got := appendEntry(nil, e); !bytes.Equal(got, b) {
			t.Errorf("read and written again: %x", got)
		}
	})
}

// The first byte says whether the client is gone after it.
func FuzzEdits(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		p := &part{gone: b[0] == 1}
		d := &decoder{r: bytes.NewReader(b[1:])}
		edits, err := d.edits(p)
		if err != nil {
			return
		}
		list := byClient(edits)
		if got := appendEdits(nil, list[0]); !bytes.Equal(got, b[1:]) || len(list) != 1 {
			t.Errorf("read and written again: %x", got)
		}
		if got := partOf(list[0]); got.gone != p.gone {
			t.Errorf("gone: %v", got.gone)
		}
	})
}

func FuzzClient(f *testing.F) {
	k := fixedKeys(f)
	records, err := k.Records()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		db := vault.New(k.arena, records, [8]byte{})
		if _, _, err := loadClient(bytes.NewReader(b), db); err != nil {
			return
		}
		if got := clients(t, db); !bytes.Equal(got, b) {
			t.Errorf("read and written again: %x", got)
		}
	})
}

// plainEntry is the plaintext of an entry of these changes, plainEdits that of a part of one.
func plainEntry(changes ...*vault.Change) []byte {
	e := entry{sequence: changes[0].Sequence}
	for _, c := range changes {
		for _, edits := range byClient(c.Edits) {
			p := partOf(edits)
			p.sealed = sealedOf(40)
			e.parts = append(e.parts, p)
		}
	}
	slices.SortFunc(e.parts, func(a, b part) int { return bytes.Compare(a.client[:], b.client[:]) })
	return appendEntry(nil, &e)
}

func plainEdits(c *vault.Change) []byte {
	edits := byClient(c.Edits)[0]
	gone := byte(0)
	if partOf(edits).gone {
		gone = 1
	}
	return appendEdits([]byte{gone}, edits)
}

// client stages and commits a change of a client as a whole.
func client(t testing.TB, db *vault.DB, name string, change func(*vault.Tx, vault.Place) error) *vault.Change {
	t.Helper()
	c, err := db.Stage(func(tx *vault.Tx) error {
		return change(tx, vault.Place{Client: vault.ClientID([]byte(name)), ClientName: []byte(name)})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(c.Sequence); err != nil {
		t.Fatal(err)
	}
	return c
}

// seeds are what each target begins with.
func seeds(t testing.TB) map[string]map[string][]byte {
	k := fixedKeys(t)
	h := k.header(t, passphrase)
	db := newDB(t, k)
	empty, _ := write(t, k, h, db)
	a := set(t, db, "c/v/r", "secret")
	small, j := write(t, k, h, db)
	b := set(t, db, "c/v/@head", "secret")
	one := append(bytes.Clone(small), seal(t, j, b)...)
	c := set(t, db, "c/v/r", "")
	d := setItem(t, db, "store", "key", "value")
	e := setItem(t, db, "store", "key", "")
	two := append(bytes.Clone(one), seal(t, j, c)...)
	two = append(two, seal(t, j, d)...)
	two = append(two, seal(t, j, e)...)
	two = append(two, seal(t, j, keep(t, db, "c/v", 3))...)
	setItem(t, db, "c", "key", "value")
	set(t, db, "c/w/r", "secret")
	keeps := keep(t, db, "c/v", 1)
	set(t, db, "c/v/@head", "secret")
	big, bigJournal := write(t, k, h, db)
	made := client(t, db, "new", (*vault.Tx).CreateClient)
	gone := client(t, db, "new", func(tx *vault.Tx, p vault.Place) error { return tx.PurgeClient(p.Client) })
	purged := slices.Concat(big, seal(t, bigJournal, made), seal(t, bigJournal, gone))
	view := db.Freeze()
	plain := make([][]byte, len(view.Clients))
	for i := range plain {
		var out bytes.Buffer
		if err := encodeClient(&out, &view.Clients[i]); err != nil {
			t.Fatal(err)
		}
		plain[i] = out.Bytes()
	}
	header, _ := blocksOf(t, small)
	more := k.header(t, passphrase, identity, rawKey)
	twice := *h
	twice.Slots = append(twice.Slots, twice.Slots...)
	return map[string]map[string][]byte{
		"FuzzReadHeader": {
			"whole": header, "cut": header[:len(header)-1], "twice": twice.Encode(), "kinds": more.Encode(),
			"rust-3": []byte("PARTI\x03\x00age-encryption.org/v1\n"), "other-magic": []byte("PARTY\x04\x00"), "no-slot": append([]byte("PARTI\x04\x00"), make([]byte, 128)...),
		},
		"FuzzRead": {
			"empty": empty, "small": small, "one-entry": one, "entries": two, "cut": two[:len(two)-1], "torn": append(bytes.Clone(one), make([]byte, 5000)...), "big": big,
		},
		"FuzzPlain": {
			"empty": piecesOf(t, k, empty), "small": piecesOf(t, k, small), "one-entry": piecesOf(t, k, one), "entries": piecesOf(t, k, two),
			"big": piecesOf(t, k, big), "purge": piecesOf(t, k, purged), "no-index": piecesOf(t, k, small)[:3], "no-session": append(piecesOf(t, k, small), "B\x00\x00E\x00\x00"...),
		},
		"FuzzEntry": {
			"a-part": plainEntry(a), "parts": plainEntry(a, d, gone), "trailing": append(plainEntry(b), 0), "many-parts": append(make([]byte, 8), 255, 255, 255, 255),
		},
		"FuzzEdits": {
			"record": plainEdits(a), "version": plainEdits(b), "tombstone": plainEdits(c), "item": plainEdits(d), "removed-item": plainEdits(e),
			"keep": plainEdits(keeps), "client": plainEdits(made), "purge": plainEdits(gone), "trailing": append(plainEdits(b), 0), "many-edits": {0, 255, 255, 255, 255},
		},
		"FuzzClient": {
			"vaults": plain[0], "store": plain[1], "cut": plain[0][:len(plain[0])-1], "nothing": append(make([]byte, 24+2), make([]byte, 8)...),
			"many-vaults": append(make([]byte, 24+2), 255, 255, 255, 255),
		},
	}
}

// A target whose seeds went away runs on nothing and passes, so they are counted.
// Each must also do what its name says.
func TestFuzzSeeds(t *testing.T) {
	for target, want := range seeds(t) {
		dir := filepath.Join("testdata", "fuzz", target)
		if *update {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			for name, b := range want {
				if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", b), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name := range want {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("a seed is missing: %v", err)
			}
		}
	}
	k := fixedKeys(t)
	h := k.header(t, passphrase)
	for name, b := range seeds(t)["FuzzPlain"] {
		file, ok := sealedFile(t, k, h, b)
		if !ok {
			if name != "no-index" && name != "no-session" {
				t.Errorf("FuzzPlain, %s: it is no list of pieces", name)
			}
			continue
		}
		if s, err := readBelow(t, k, file); err != nil {
			t.Errorf("FuzzPlain, %s: %v", name, err)
		} else {
			s.Close()
		}
	}
	accepted := 0
	for name, b := range seeds(t)["FuzzRead"] {
		if s, err := readBelow(t, k, b); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			accepted++
			s.Close()
		}
	}
	if accepted == 0 {
		t.Error("no seed of FuzzRead gets past the keys")
	}
}

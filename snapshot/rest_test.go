package snapshot

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

func clientID(name string) vault.ID { return vault.ClientID([]byte(name)) }

func only(names ...string) map[vault.ID]bool {
	m := map[vault.ID]bool{}
	for _, n := range names {
		m[clientID(n)] = true
	}
	return m
}

// readOnly is Read of some clients below the keys.
func readOnly(t testing.TB, k *Keys, file io.ReadSeeker, names ...string) (*State, error) {
	t.Helper()
	in := newBlocks(file)
	h, mac, err := ReadHeader(in)
	if err != nil {
		t.Fatal(err)
	}
	return read(in, h, mac, k.again(t), Options{Arena: k.arena, Only: only(names...)})
}

func mustReadOnly(t testing.TB, k *Keys, file []byte, names ...string) *State {
	t.Helper()
	s, err := readOnly(t, k, bytes.NewReader(file), names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// foldRest writes the state of a part of a file as a new file, under keys.
func foldRest(s *State, k *Keys, file []byte) ([]byte, *Journal, error) {
	var out bytes.Buffer
	rest := s.Journal.Rest()
	rest.File = bytes.NewReader(file)
	rest.Copy = func(at, size int64) error { out.Write(file[at : at+size]); return nil }
	j, err := Write(&out, k, s.Header, s.DB.Freeze(), rest)
	return out.Bytes(), j, err
}

// partly is a file with a journal in which each sort of thing happens to a client, and the
// whole state that it is of.
func partly(t testing.TB) (k *Keys, h *Header, db *vault.DB, file []byte) {
	k, h = newKeys(t)
	db = newDB(t, k)
	fill(t, db)
	for _, name := range []string{"folded", "purged", "again"} {
		set(t, db, name+"/v/r", "the secret of "+name)
	}
	file, j := write(t, k, h, db)
	app := func(c *vault.Change) { file = append(file, seal(t, j, c)...) }
	purge := func(tx *vault.Tx, p vault.Place) error { return tx.PurgeClient(p.Client) }
	app(set(t, db, "a/x/3", "a third secret"))
	app(set(t, db, "new/v/@head", "a version"))
	app(client(t, db, "purged", purge))
	app(client(t, db, "again", purge))
	j.Restart(j.Tag())
	app(set(t, db, "again/v/other", "another"))
	app(setItem(t, db, "b", "key", "value"))
	app(client(t, db, "brief", (*vault.Tx).CreateClient))
	app(client(t, db, "brief", purge))
	app(keep(t, db, "b/x", 1))
	return k, h, db, file
}

var partlyNames = []string{"a", "again", "b", "folded", "new", "only a store"}

// of is the plaintext of a client's section.
func of(t testing.TB, db *vault.DB, name string) string {
	t.Helper()
	return plainOf(t, db, clientID(name))
}

func plainOf(t testing.TB, db *vault.DB, id vault.ID) string {
	t.Helper()
	view := db.Freeze()
	for i := range view.Clients {
		if c := &view.Clients[i]; c.ID == id {
			var out bytes.Buffer
			if err := encodeClient(&out, c); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
	}
	return ""
}

// Each client is loaded alone, with what the journal has of it; the others are known by
// name and id, and nothing is known of those that are gone.
func TestLoadOne(t *testing.T) {
	k, _, db, file := partly(t)
	for _, name := range partlyNames {
		s := mustReadOnly(t, k, file, name)
		if of(t, s.DB, name) != of(t, db, name) || s.DB.Sequence() != db.Sequence() {
			t.Errorf("%s: not what it was", name)
		}
		page, _, err := s.DB.Clients(vault.ID{}, 100)
		if err != nil || len(page) != len(partlyNames) {
			t.Fatalf("%d clients, %v", len(page), err)
		}
		for _, c := range page {
			if n := string(c.Place.ClientName); c.Away != (n != name) || !slices.Contains(partlyNames, n) {
				t.Errorf("%s: %q is listed, away %v", name, n, c.Away)
			}
		}
		for _, other := range partlyNames {
			_, err := s.DB.Items(clientID(other), &vault.ItemQuery{Limit: 1})
			if want := map[bool]error{true: nil, false: vault.ErrNotLoaded}[other == name]; err != want {
				t.Errorf("%s: %s: %v", name, other, err)
			}
		}
		for _, gone := range []string{"purged", "brief", "never"} {
			if s.DB.HasClient(clientID(gone)) {
				t.Errorf("%s is there", gone)
			}
		}
	}
}

// What is not asked for is not decrypted: its ciphertext may be anything. Where the
// journal has it, the entry around it is authentic, and its content may be anything.
func TestOthersStayEncrypted(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	set(t, db, "a/v/r", "a secret")
	set(t, db, "b/v/r", "a secret")
	file, j := write(t, k, h, db)
	sec := j.sections[clientID("b")]
	file[sec.at+blockHead+saltSize+5] ^= 1
	s := mustReadOnly(t, k, file, "a")
	if of(t, s.DB, "a") != of(t, db, "a") {
		t.Error("not what it was")
	}
	_, err := readOnly(t, k, bytes.NewReader(file), "b")
	isDamaged(t, err, "client section")
	_, err = readBelow(t, k, file)
	isDamaged(t, err, "client section")
	rest := s.Journal.Rest()
	rest.File = bytes.NewReader(file)
	_, err = rest.Load([]vault.ID{clientID("b")})
	isDamaged(t, err, "client section")

	// The same of the journal.
	file, j = write(t, k, h, db)
	out, err := j.begin()
	if err != nil {
		t.Fatal(err)
	}
	e := entry{sequence: db.Sequence() + 1, parts: []part{{client: clientID("b"), sealed: make([]byte, 100)}}}
	file = append(file, batch(j.sealPlain(out, appendEntry(nil, &e)))...)
	s = mustReadOnly(t, k, file, "a")
	if of(t, s.DB, "a") != of(t, db, "a") {
		t.Error("not what it was")
	}
	_, err = readOnly(t, k, bytes.NewReader(file), "b")
	isDamaged(t, err, "journal")
	rest = s.Journal.Rest()
	rest.File = bytes.NewReader(file)
	_, err = rest.Load([]vault.ID{clientID("b")})
	isDamaged(t, err, "journal")
}

// Clients are loaded later, one after the other, and unloaded, and it is the same state.
func TestLoadLater(t *testing.T) {
	k, _, db, file := partly(t)
	s := mustReadOnly(t, k, file)
	load := func(names ...string) {
		t.Helper()
		rest := s.Journal.Rest()
		rest.File = bytes.NewReader(file)
		var ids []vault.ID
		for _, n := range names {
			ids = append(ids, clientID(n))
		}
		loaded, err := rest.Load(ids)
		if err != nil {
			t.Fatal(names, err)
		}
		s.DB.Take(loaded)
	}
	load("a")
	load("b", "folded")
	if err := s.DB.Unload(clientID("a")); err != nil {
		t.Fatal(err)
	}
	if err := s.DB.Unload(clientID("a")); err != vault.ErrNotLoaded {
		t.Errorf("unloaded twice: %v", err)
	}
	if err := s.DB.Unload(clientID("never")); err != vault.ErrNotFound {
		t.Errorf("unloaded and never there: %v", err)
	}
	load("new", "only a store", "again", "a")
	if dump(t, s.DB) != dump(t, db) || s.DB.Away() != 0 || s.DB.Live() != db.Live() {
		t.Error("not the same state")
	}
	rest := s.Journal.Rest()
	rest.File = bytes.NewReader(file)
	if _, err := rest.Load([]vault.ID{clientID("never")}); err == nil {
		t.Error("a client that is not there was loaded")
	}
}

// A file that is written while some clients are not loaded has all of them: under the
// same keys those that nothing has happened to are copied, else they are sealed anew.
func TestFoldOfAPart(t *testing.T) {
	k, _, db, file := partly(t)
	for _, names := range [][]string{nil, {"a"}, {"folded", "new"}, partlyNames} {
		for _, renew := range []bool{false, true} {
			s := mustReadOnly(t, k, file, names...)
			keys := s.Keys
			if renew {
				next, err := keys.Renew()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(next.Destroy)
				if s.Header, err = next.Wrap(s.Header); err != nil {
					t.Fatal(err)
				}
				keys = next
			}
			folded, j, err := foldRest(s, keys, file)
			if err != nil {
				t.Fatal(err)
			}
			for id, sec := range j.sections {
				if kind, body, _ := blockAt(t, folded, sec.at); kind != blockClient || body != sec.body() {
					t.Errorf("%x is not where the journal says", id)
				}
			}
			old := s.Journal.sections[clientID("folded")]
			copied := bytes.Contains(folded, file[old.at:old.at+blockHead+old.body()])
			if want := !renew && !slices.Contains(names, "folded"); copied != want {
				t.Errorf("%q, renewed %v: copied %v", names, renew, copied)
			}
			whole, err := readBelow(t, keys, folded)
			if err != nil {
				t.Fatal(err)
			}
			if dump(t, whole.DB) != dump(t, db) {
				t.Errorf("%q, renewed %v: not the same state", names, renew)
			}
			whole.Close()
			j.Close()
		}
	}
	some := mustReadOnly(t, k, file)
	if _, err := Write(io.Discard, k, some.Header, some.DB.Freeze(), nil); !errors.Is(err, vault.ErrNotLoaded) {
		t.Errorf("without what is not loaded: %v", err)
	}
}

func blockAt(t testing.TB, file []byte, at int64) (kind byte, size int64, err error) {
	t.Helper()
	in := newBlocks(bytes.NewReader(file))
	if err := in.seek(at); err != nil {
		t.Fatal(err)
	}
	return in.next()
}

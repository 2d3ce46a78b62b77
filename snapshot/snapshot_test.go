package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stronghold-go/stronghold/vault"
)

// The public way, with a real password hash, once.
func TestCreateWriteRead(t *testing.T) {
	if raceDetector {
		t.Skip("the password hash takes minutes, and nothing in it is shared")
	}
	arena := newArena(t)
	if _, err := Create(arena, []byte(passphrase), MinCost-1, 0); !errors.As(err, new(*CostError)) {
		t.Errorf("cost %d: %v", MinCost-1, err)
	}
	if _, err := Create(arena, []byte(passphrase), MaxCost+1, 0); !errors.As(err, new(*CostError)) {
		t.Errorf("cost %d: %v", MaxCost+1, err)
	}
	if _, err := Create(arena, nil, MinCost, 0); err == nil {
		t.Error("an empty passphrase made a slot")
	}
	isEmpty(t, arena)
	s, err := Create(arena, []byte(passphrase), MinCost, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.DB)
	want := dump(t, s.DB)
	file, j := write(t, s.Keys, s.Header, s.DB)
	j.Close()
	s.Close()
	isEmpty(t, arena)

	if _, err := Read(bytes.NewReader(file), with(arena, "wrong"), Options{Arena: arena}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong passphrase: %v", err)
	}
	s = mustOpen(t, arena, file)
	if got := dump(t, s.DB); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if n := int64(len(file)); s.Base != n || s.Length != n || s.Recovered {
		t.Errorf("base %d, length %d, recovered %v of %d bytes", s.Base, s.Length, s.Recovered, n)
	}
	if cost, ok := s.Header.Slots[0].Cost(); !ok || cost != MinCost {
		t.Errorf("cost %d, %v", cost, ok)
	}
	s.Close()
	isEmpty(t, arena)
}

// Each cause has its error, and none leaves anything behind.
func TestErrors(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	fill(t, db)
	file, _ := write(t, k, h, db)
	arena := newArena(t)
	read := func(file []byte, passphrase string) error {
		s, err := Read(bytes.NewReader(file), with(arena, passphrase), Options{Arena: arena})
		if err == nil {
			s.Close()
		}
		isEmpty(t, arena)
		return err
	}
	replace := func(at int, with ...byte) []byte {
		b := bytes.Clone(file)
		copy(b[at:], with)
		return b
	}
	version := new(VersionError)
	if err := read(replace(5, 3, 0), passphrase); !errors.As(err, &version) || *version != (VersionError{3, 0}) {
		t.Errorf("version 3: %v", err)
	}
	if err := read(replace(5, 4, 1), passphrase); !errors.As(err, &version) || *version != (VersionError{4, 1}) {
		t.Errorf("version 4.1: %v", err)
	}
	for _, b := range [][]byte{nil, []byte("PART"), []byte("PARTI\x04"), replace(0, 'p'), []byte(strings.Repeat("\x00", 1000))} {
		if err := read(b, passphrase); err != ErrNotASnapshot {
			t.Errorf("%.8q: %v", b, err)
		}
	}
	for _, p := range []string{"", "wrong", passphrase + " "} {
		if err := read(file, p); err != ErrWrongKey {
			t.Errorf("passphrase %q: %v", p, err)
		}
	}
	// The costs are looked at before any hashing: this one would take 32 TiB.
	dear := bytes.Replace(file, []byte(" 1\n"), []byte(" 9\n"), 1)
	cost := new(CostError)
	dearHeader, _, err := ReadHeader(bytes.NewReader(dear))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dearHeader.Open([]byte(passphrase), 8); !errors.As(err, &cost) || *cost != (CostError{9, 8}) {
		t.Errorf("cost 9 of 8: %v", err)
	}
	h.Slots[0].Lock = bytes.Replace(h.Slots[0].Lock, []byte(" 1\n"), []byte(" 35\n"), 1)
	file, _ = write(t, k, h, db)
	if err := read(file, passphrase); !errors.As(err, &cost) || *cost != (CostError{35, MaxCost}) {
		t.Errorf("cost 35: %v", err)
	}
	// What the reader says goes before what its bytes would mean.
	failure := errors.New("a failure")
	for n := range len(file) {
		r := failing{bytes.NewReader(file), int64(n), failure}
		if _, err := Read(r, with(arena, "wrong"), Options{Arena: arena}); err != failure && err != ErrWrongKey && !errors.As(err, &cost) {
			t.Fatalf("a reader that fails at %d: %v", n, err)
		}
	}
}

// failing fails behind some bytes.
type failing struct {
	*bytes.Reader
	at  int64
	err error
}

func (r failing) Read(p []byte) (int, error) {
	left := r.at - (r.Size() - int64(r.Len()))
	if left <= 0 {
		return 0, r.err
	}
	return r.Reader.Read(p[:min(int64(len(p)), left)])
}

// A slot of another root key, or a second one, is no part of this file.
func TestSlotsAreAuthenticated(t *testing.T) {
	k, h := newKeys(t)
	_, theirs := newKeys(t)
	db := newDB(t, k)
	fill(t, db)
	theirs.Slots[0].Number = 2
	two := &Header{Slots: []Slot{h.Slots[0], theirs.Slots[0]}}
	third, first, second := h.Slots[0], theirs.Slots[0], h.Slots[0]
	third.Number, first.Number, second.Number = 3, 1, 2
	file, _ := write(t, k, two, db)
	_, list := blocksOf(t, file)
	arena := newArena(t)
	mustOpen(t, arena, file).Close()
	read, mac, err := ReadHeader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, slots := range [][]Slot{
		{h.Slots[0]},                         // dropped
		{h.Slots[0], theirs.Slots[0], third}, // added
		{first, second},                      // swapped: the first one opens, with a root key that is not the file's
	} {
		changed := *read
		changed.Slots = slots
		_, err := open(t, arena, join(append(changed.encode(), mac...), list))
		isDamaged(t, err, "header")
	}
	// The header of another file of the same state and keys.
	again, _ := write(t, k, two, db)
	header, _ := blocksOf(t, again)
	_, err = open(t, arena, join(header, list))
	isDamaged(t, err, "index")
}

// Every bit counts. In the last batch, which may be what a crash has left, the
// state before it is allowed too.
func TestEveryBit(t *testing.T) {
	k, _ := newKeys(t)
	h := k.header(t, identity) // a small one; TestEveryBitOfAHeader has the others
	db := newDB(t, k)
	set(t, db, "c/v/r", "secret")
	setItem(t, db, "c", "key", "value")
	file, j := write(t, k, h, db)
	folded := len(file)
	var last int
	for _, s := range []string{"1", "2", "3"} {
		last = len(file)
		file = append(file, seal(t, j, set(t, db, "c/v/"+s, s))...)
	}
	arena := newArena(t)
	if s, err := openWith(t, arena, file, identity); err != nil {
		t.Fatal(err)
	} else {
		s.Close()
	}
	step := 1
	if raceDetector {
		step = 31
	}
	for i := 0; i < len(file)*8; i += step {
		file[i/8] ^= 1 << (i % 8)
		if s, err := openWith(t, arena, file, identity); err == nil {
			if i/8 >= last && s.Recovered && int(s.Length) == last {
				s.Close()
				file[i/8] ^= 1 << (i % 8)
				continue
			}
			t.Errorf("bit %d of byte %d of %d, %d of them folded: recovered %v, length %d", i%8, i/8, len(file), folded, s.Recovered, s.Length)
			s.Close()
		}
		file[i/8] ^= 1 << (i % 8)
	}
}

// A folded file is whole or nothing; a journal is as long as its whole entries.
func TestEveryLength(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	set(t, db, "c/v/r", "secret")
	file, j := write(t, k, h, db)
	type state struct {
		length int
		dump   string
	}
	states := []state{{len(file), dump(t, db)}}
	for i := range 5 {
		if i == 3 {
			j.Restart(j.Tag()) // a new session in between
		}
		file = append(file, seal(t, j, set(t, db, "c/v/"+fmt.Sprint(i), "secret"))...)
		states = append(states, state{len(file), dump(t, db)})
	}
	arena := newArena(t)
	step := 1
	if raceDetector {
		step = 11
	}
	for n := 0; n <= len(file); n += step {
		s, err := open(t, arena, file[:n])
		if n < states[0].length {
			if err == nil {
				t.Fatalf("%d bytes of a folded file were accepted", n)
			}
			if n >= len(magic)+2 && !errors.As(err, new(*DamagedError)) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		i := slices.IndexFunc(states, func(s state) bool { return s.length > n })
		if i < 0 {
			i = len(states)
		}
		want := states[i-1]
		if int(s.Length) != want.length || s.Recovered != (n != want.length) || int(s.Base) != states[0].length || dump(t, s.DB) != want.dump {
			t.Fatalf("%d bytes: length %d, want %d; recovered %v", n, s.Length, want.length, s.Recovered)
		}
		// It goes on behind the last whole entry.
		if n%7 == 0 || raceDetector {
			mended := slices.Concat(file[:s.Length], seal(t, s.Journal, set(t, s.DB, "c/v/mended", "secret")))
			again := mustOpen(t, newArena(t), mended)
			if dump(t, again.DB) != dump(t, s.DB) || again.Recovered {
				t.Fatalf("%d bytes, mended", n)
			}
			again.Close()
		}
		s.Close()
		isEmpty(t, arena)
	}
}

func TestBigState(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	records := 10_000
	if raceDetector {
		records = 500
	}
	c, err := db.Stage(func(tx *vault.Tx) error {
		for i := range records {
			p := vault.At(fmt.Append(nil, "client ", i%3), fmt.Append(nil, "vault ", i%7), fmt.Append(nil, "record ", i))
			if _, err := tx.Put(p, vault.Value{Kind: vault.Data, Secret: make([]byte, i%200)}, true); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(c.Sequence); err != nil {
		t.Fatal(err)
	}
	file, _ := write(t, k, h, db)
	arena := newArena(t)
	s := mustOpen(t, arena, file)
	if dump(t, s.DB) != dump(t, db) {
		t.Error("not the same state")
	}
	s.Close()
	isEmpty(t, arena)
	for _, slow := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader} {
		r := bytes.NewReader(file)
		s, err := Read(struct {
			io.Reader
			io.Seeker
		}{slow(r), r}, with(arena, passphrase), Options{Arena: arena})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

// Two files share no key: file ids and salts are new each time.
func TestNothingRepeats(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	set(t, db, "a/v/r", "secret")
	set(t, db, "b/v/r", "secret")
	seen := map[string]bool{}
	fresh := func(what string, b []byte) {
		t.Helper()
		if seen[string(b)] {
			t.Errorf("%s came twice", what)
		}
		seen[string(b)] = true
	}
	for range 3 {
		file, j := write(t, k, h, db)
		// The same change, sealed in two copies of a file and after a restart, by the last two with the same count.
		c := set(t, db, "a/v/r", "another secret")
		for range 3 {
			file = append(file, seal(t, j, c)...)
			j.Restart(j.Tag())
		}
		header, list := blocksOf(t, file)
		fresh("file id", header[7:7+idSize])
		for _, b := range list {
			switch b.kind {
			case blockClient, blockSession:
				fresh("salt", b.body[:saltSize])
			}
			fresh("block", b.all)
		}
		if n := len(list); n != 2+1+6 {
			t.Errorf("%d blocks", n)
		}
	}
}

// What a hostile length promises is not allocated before it is there.
func TestAllocation(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	file, _ := write(t, k, h, db)
	header, list := blocksOf(t, file)
	arena := newArena(t)
	salt := make([]byte, saltSize)
	for name, file := range map[string][]byte{
		"client":         slices.Concat(header, withLength(blockClient, 1<<61), salt),
		"index":          slices.Concat(header, withLength(blockIndex, 1<<61), salt),
		"journal":        slices.Concat(file, withLength(blockSession, 1<<61), salt),
		"entry":          slices.Concat(file, list[0].all[:0], withLength(blockEntry, 1<<61), salt),
		"longer than 64": slices.Concat(file, withLength(blockEntry, 1<<63), salt),
		"slots":          append(bytes.Clone(file[:23]), 255, 1, 255, 255),
		"slot":           append(bytes.Clone(file[:23]), 1, 1, 255, 255),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := Read(bytes.NewReader(file), with(arena, passphrase), Options{Arena: arena})
		runtime.ReadMemStats(&after)
		if err == nil {
			s.Close()
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes were allocated for %d", name, used, len(file))
		}
	}
	many := bytes.Repeat([]byte{0xff}, 100)
	for name, decode := range map[string]func(b []byte) error{
		"parts": func(b []byte) error { _, err := decodeEntry(b); return err },
		"edits": func(b []byte) error { _, err := (&decoder{r: bytes.NewReader(b)}).edits(new(part)); return err },
		"client": func(b []byte) error {
			_, _, err := loadClient(bytes.NewReader(append(make([]byte, 24+2), b...)), newDB(t, k))
			return err
		},
	} {
		b := many
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := decode(b); err == nil {
			t.Error("accepted")
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes were allocated for %d", name, used, len(b))
		}
	}
}

// Nothing that a person wrote stands in a file, nor a key.
func TestFileHoldsNoPlaintext(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	words := []string{"some client", "some vault", "some record", "some secret", "some key", "some value", "a hint"}
	file, j := write(t, k, h, db)
	file = append(file, seal(t, j, set(t, db, "some client/some vault/some record", "some secret"))...)
	file = append(file, seal(t, j, setItem(t, db, "some client", "some key", "some value"))...)
	folded, _ := write(t, k, h, db)
	k.root.Use(func(b []byte) error { words = append(words, string(b)); return nil })
	records, err := k.Records()
	if err != nil {
		t.Fatal(err)
	}
	records.Use(func(b []byte) error { words = append(words, string(b)); return nil })
	for _, w := range words {
		if bytes.Contains(file, []byte(w)) || bytes.Contains(folded, []byte(w)) {
			t.Errorf("%q shows", w)
		}
	}
}

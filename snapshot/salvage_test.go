package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// salvaged is what Salvage makes of a file. Whatever comes of it can be written and opened as any other.
func salvaged(t testing.TB, arena *memory.Arena, file []byte) (*State, []Damage) {
	t.Helper()
	s, damage, err := Salvage(bytes.NewReader(file), with(arena, passphrase), Options{Arena: arena})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	j, err := Write(&out, s.Keys, s.Header, s.DB.Freeze(), nil)
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	again := mustOpen(t, arena, out.Bytes())
	defer again.Close()
	if got, want := dump(t, again.DB), dump(t, s.DB); got != want {
		t.Fatalf("what was salvaged is read again as\n%s\nand not as\n%s", got, want)
	}
	return s, damage
}

// placed is where a block of a file begins and ends.
type placed struct{ at, end int }

// long is a file with two clients in its base, and a journal of ten changes in two sessions and in batches of
// one and of two, each of which puts an item: 0 to 9. It says where each entry and session begins.
func long(t testing.TB) (file []byte, entries []placed) {
	t.Helper()
	k, h := newKeys(t)
	db := newDB(t, k)
	fill(t, db)
	file, j := write(t, k, h, db)
	base := len(file)
	for i := 0; i < 10; i++ {
		if i == 4 {
			j.Restart(j.Tag())
		}
		e := [][]byte{sealed(t, j, setItem(t, db, "j", fmt.Sprint(i), "value"))}
		if i == 6 || i == 1 {
			i++
			e = append(e, sealed(t, j, setItem(t, db, "j", fmt.Sprint(i), "value")))
		}
		file = append(file, batch(e...)...)
	}
	for at := base; at < len(file); {
		kind, size, ok := (&salvager{file: file}).head(at)
		switch {
		case !ok:
			at++ // the end of a batch
		case kind == blockBatch:
			at += blockHead + sumSize
		default:
			if kind == blockEntry {
				entries = append(entries, placed{at, at + blockHead + size})
			}
			at += blockHead + size
		}
	}
	if len(entries) != 10 {
		t.Fatalf("%d entries", len(entries))
	}
	return file, entries
}

// items are the keys of a client's store.
func items(db *vault.DB, client string) string {
	page, err := db.Items(vault.ClientID([]byte(client)), &vault.ItemQuery{Limit: 1000})
	if err != nil {
		return ""
	}
	var keys []string
	for _, it := range page.Items {
		keys = append(keys, string(it.Key))
	}
	return strings.Join(keys, "")
}

// What of a journal is damaged costs as little as can be, and is told.
func TestSalvageJournal(t *testing.T) {
	file, entries := long(t)
	arena := newArena(t)
	whole := mustOpen(t, arena, file)
	first := whole.DB.Sequence() - 9 // the number of entry 0
	whole.Close()
	flip := func(at ...int) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, at := range at {
				b[at] ^= 1
			}
			return b
		}
	}
	end := func(i int) int { return entries[i].end }
	for _, tt := range []struct {
		name   string
		damage func([]byte) []byte
		have   string
		lost   [][2]uint64 // by the numbers of entries
	}{
		{"nothing", flip(), "0123456789", nil},
		{"what an entry says", flip(entries[5].at + blockHead), "012346789", [][2]uint64{{5, 5}}},
		{"the last byte of that", flip(end(5) - tagSize - 1), "012346789", [][2]uint64{{5, 5}}},
		{"the first entry", flip(entries[0].at + blockHead), "123456789", [][2]uint64{{0, 0}}},
		{"the last entry", flip(entries[9].at + blockHead), "012345678", [][2]uint64{{9, 0}}},
		{"a tag", flip(end(5) - 1), "0123456789", nil},
		{"the tag of the last entry of a session", flip(end(3) - 1), "0123456789", nil},
		{"the tag of the last entry", flip(end(9) - 1), "012345678", [][2]uint64{{9, 0}}},
		{"an entry and its tag", flip(entries[5].at+blockHead, end(5)-1), "01234789", [][2]uint64{{5, 6}}},
		{"the head of an entry", flip(entries[5].at + 1), "012346789", [][2]uint64{{5, 5}}},
		{"the head of a batch", flip(entries[5].at - sumSize - blockHead), "0123456789", nil},
		{"the checksum of a batch", flip(entries[5].at - 1), "0123456789", nil},
		{"the end of a batch", flip(end(5)), "0123456789", nil},
		{"two entries, apart", flip(entries[2].at+blockHead, entries[8].at+blockHead), "01345679", [][2]uint64{{2, 2}, {8, 8}}},
		{"two entries in a batch", flip(entries[6].at+blockHead, entries[7].at+blockHead), "01234589", [][2]uint64{{6, 7}}},
		{"the salt of a session", flip(entries[4].at - 1), "0123", [][2]uint64{{4, 0}}},
		{"the head of a session", flip(entries[4].at - saltSize - 2), "0123", [][2]uint64{{4, 0}}},
		{"an entry is gone", func(b []byte) []byte { return slices.Delete(b, entries[5].at, end(5)) }, "01234789", [][2]uint64{{5, 6}}},
		{"a batch is gone", func(b []byte) []byte { return slices.Delete(b, entries[5].at-sumSize-blockHead, end(5)+1) }, "01234789", [][2]uint64{{5, 6}}},
		{"bytes came between", func(b []byte) []byte { return slices.Insert(b, end(5)+1, []byte("something else")...) }, "0123456789", nil},
		{"zeros over two entries", func(b []byte) []byte { clear(b[entries[5].at+20 : entries[6].at+30]); return b }, "01234789", [][2]uint64{{5, 6}}},
		{"cut within an entry", func(b []byte) []byte { return append(b[:entries[5].at+20], b[entries[6].at-18:]...) }, "01234789", [][2]uint64{{5, 6}}},
	} {
		b := tt.damage(bytes.Clone(file))
		s, damage := salvaged(t, arena, b)
		var lost [][2]uint64
		for _, d := range damage {
			if d.Lost {
				r := [2]uint64{d.First - first, d.Last - first}
				if d.Last == 0 {
					r[1] = 0
				}
				lost = append(lost, r)
			}
		}
		if got := items(s.DB, "j"); got != tt.have || !slices.Equal(lost, tt.lost) {
			t.Errorf("%s: there is %s and %v is missing, want %s and %v: %+v", tt.name, got, lost, tt.have, tt.lost, damage)
		}
		if s, err := Read(bytes.NewReader(b), with(arena, passphrase), Options{Arena: arena}); (err != nil) != (len(damage) > 0) {
			t.Errorf("%s: opening: %v, and salvaging tells of %v", tt.name, err, damage)
		} else if err == nil {
			s.Close()
		}
		s.Close()
		isEmpty(t, arena)
	}
}

// An entry that says that nothing has changed, as version 4.0 once wrote them, costs nothing.
func TestSalvageEntryWithoutParts(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	file, j := write(t, k, h, db)
	file = append(file, seal(t, j, setItem(t, db, "j", "a", "value"))...)
	head, err := j.begin()
	if err != nil {
		t.Fatal(err)
	}
	j.withKey(func(key *[32]byte) {
		empty := j.seal(key, head, appendEntry(nil, &entry{sequence: 2}))
		file = append(file, batch(empty)...)
	})
	db.Resume(2)
	file = append(file, seal(t, j, setItem(t, db, "j", "b", "value"))...)
	arena := newArena(t)
	if _, err := open(t, arena, file); !errors.As(err, new(*DamagedError)) {
		t.Fatalf("a reader says %v", err)
	}
	s, damage := salvaged(t, arena, file)
	defer s.Close()
	if got := items(s.DB, "j"); got != "ab" || s.DB.Sequence() != 3 || len(damage) != 1 || damage[0].Lost || damage[0].Where != "entry without parts" || damage[0].First != 2 {
		t.Errorf("%q up to %d: %+v", got, s.DB.Sequence(), damage)
	}
}

// A client's section costs that client what stands behind the damage, and no other anything.
func TestSalvageSections(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	for _, client := range []string{"a", "b", "c"} {
		for i := range 40 { // some chunks of 64 KiB
			setItem(t, db, client, fmt.Sprintf("%02d", i), strings.Repeat("v", 6<<10))
		}
	}
	file, j := write(t, k, h, db)
	base := len(file)
	file = append(file, seal(t, j, setItem(t, db, "b", "later", "value"))...)
	var blocks []placed // three sections and the index, in the order of the clients' ids
	in := &salvager{file: file}
	for at := len(h.encode()) + macSize; at < base; {
		_, size, ok := in.head(at)
		if !ok {
			t.Fatalf("no block at %d", at)
		}
		blocks = append(blocks, placed{at, at + blockHead + size})
		at += blockHead + size
	}
	view := db.Freeze()
	whole := map[string]int{"a": 40, "b": 41, "c": 40}
	path := map[vault.ID]string{}
	for client := range whole {
		path[vault.ClientID([]byte(client))] = client
	}
	at := func(i int) string { return path[view.Clients[i].ID] }
	count := func(db *vault.DB, client string) int {
		page, err := db.Items(vault.ClientID([]byte(client)), &vault.ItemQuery{Limit: 1000})
		if err != nil {
			return 0
		}
		return len(page.Items)
	}
	for _, tt := range []struct {
		name  string
		flips []int
		some  int  // of the clients has lost something; -1: none
		lost  bool // something is
	}{
		{"the head of a section", []int{blocks[1].at + 1}, -1, false},
		{"its salt", []int{blocks[1].at + blockHead + 3}, -1, false},
		{"its first chunk", []int{blocks[1].at + blockHead + saltSize}, 1, true},
		{"its third chunk", []int{blocks[1].at + blockHead + saltSize + 2*(chunkSize+tagSize)}, 1, true},
		{"its last byte", []int{blocks[2].end - 1}, 2, true},
		{"the first section", []int{blocks[0].at + blockHead + saltSize}, 0, true},
		{"the index", []int{blocks[3].at + blockHead}, -1, true},
		{"the head of the index", []int{blocks[3].at + 2}, -1, true},
		{"the tag of the index", []int{blocks[3].end - 1}, -1, true},
		{"the index and the head of a section", []int{blocks[3].at + blockHead, blocks[1].at + 1}, 1, true},
	} {
		b := bytes.Clone(file)
		for _, i := range tt.flips {
			b[i] ^= 1
		}
		arena := newArena(t)
		s, damage := salvaged(t, arena, b)
		some, lost := -1, false
		for _, d := range damage {
			lost = lost || d.Lost
			for i := range view.Clients {
				if d.Client == view.Clients[i].ID {
					some = i
				}
			}
		}
		for i := range view.Clients {
			n, want := count(s.DB, at(i)), whole[at(i)]
			switch {
			case i != tt.some && n != want && !(tt.name == "the tag of the index" && at(i) == "b" && n == 40):
				t.Errorf("%s: %d of %d items of client %d are left", tt.name, n, want, i)
			case i == tt.some && n >= want:
				t.Errorf("%s: client %d has lost nothing", tt.name, i)
			case i == tt.some && tt.name == "its third chunk" && n < 20:
				t.Errorf("%s: %d items before it are left", tt.name, n)
			}
		}
		if lost != tt.lost || tt.some != some && len(tt.flips) == 1 {
			t.Errorf("%s: it tells of %+v", tt.name, damage)
		}
		if s.DB.Sequence() < 120 {
			t.Errorf("%s: the next change gets number %d", tt.name, s.DB.Sequence()+1)
		}
		s.Close()
		isEmpty(t, arena)
	}
	// A header that is not as it was written says nothing that can be believed.
	for _, i := range []int{30, len(h.encode()) + 1} {
		b := bytes.Clone(file)
		b[i] ^= 1
		arena := newArena(t)
		if _, _, err := Salvage(bytes.NewReader(b), with(arena, passphrase), Options{Arena: arena}); !errors.As(err, new(*DamagedError)) {
			t.Errorf("byte %d of the header: %v", i, err)
		}
		isEmpty(t, arena)
	}
}

// Whatever byte is damaged, what is salvaged was there, and if something is missing that is told.
func TestSalvageEveryByte(t *testing.T) {
	file, _ := long(t)
	arena := newArena(t)
	whole := mustOpen(t, arena, file)
	there := map[string]bool{}
	lines := func(db *vault.DB) []string { return strings.Split(dump(t, db), "\n")[1:] }
	for _, line := range lines(whole.DB) {
		there[line] = true
	}
	start := len(whole.Header.encode()) + macSize
	whole.Close()
	step := 5
	if testing.Short() || raceDetector {
		step = 97
	}
	for at := start; at < len(file); at += step {
		for i, damage := range []func([]byte) []byte{
			func(b []byte) []byte { b[at] ^= 0x80; return b },
			func(b []byte) []byte { return b[:at] },
			func(b []byte) []byte { return slices.Delete(b, at, at+1) },
			func(b []byte) []byte { clear(b[at:min(len(b), at+100)]); return b },
		} {
			s, told, err := Salvage(bytes.NewReader(damage(bytes.Clone(file))), with(arena, passphrase), Options{Arena: arena})
			if err != nil {
				t.Fatalf("at %d: %v", at, err)
			}
			have := 0
			for _, line := range lines(s.DB) {
				if there[line] {
					have++
				}
			}
			lost := s.Recovered || i == 1 // cut: it may end in the journal, and that is a state that was
			for _, d := range told {
				lost = lost || d.Lost
			}
			if have < len(there) && !lost {
				t.Fatalf("at %d, damage %d: %d of %d lines are there, and it tells of %+v", at, i, have, len(there), told)
			}
			s.Close()
		}
	}
	isEmpty(t, arena)
}

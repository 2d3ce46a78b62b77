package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// sessions makes a file with a journal of three sessions of two or three entries.
func sessions(t testing.TB, k *Keys, h *Header, db *vault.DB) (header []byte, list []block, entries int) {
	t.Helper()
	file, j := write(t, k, h, db)
	for session := range 3 {
		for i := range 2 + session%2 {
			// All entries have one length: only their order tells them apart.
			file = append(file, seal(t, j, set(t, db, fmt.Sprintf("c/v/%d-%d", session, i), "secret"))...)
			entries++
		}
		j.Restart(j.Tag())
	}
	header, list = blocksOf(t, file)
	return header, list, entries
}

// Blocks of a journal stay where they were written.
func TestJournalOrder(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	set(t, db, "c/v/r", "secret")
	header, list, entries := sessions(t, k, h, db)
	arena := newArena(t)
	mustOpen(t, arena, join(header, list)).Close()
	var first int // of the journal
	for list[first].kind != blockSession {
		first++
	}
	if n := len(list) - first; n != entries+3 {
		t.Fatalf("%d blocks in the journal", n)
	}
	refused := func(what string, list []block) {
		t.Helper()
		s, err := open(t, arena, join(header, list))
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", what)
			return
		}
		isDamaged(t, err, "journal")
	}
	for i := first; i < len(list); i++ {
		refused(fmt.Sprintf("block %d twice", i), slices.Insert(slices.Clone(list), i, list[i]))
		if i < len(list)-1 { // without the last is cut short
			refused(fmt.Sprintf("without block %d", i), slices.Delete(slices.Clone(list), i, i+1))
		}
		for j := i + 1; j < len(list); j++ {
			swapped := slices.Clone(list)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			refused(fmt.Sprintf("blocks %d and %d swapped", i, j), swapped)
			if j < len(list)-1 {
				refused(fmt.Sprintf("without blocks %d to %d", i, j), slices.Delete(slices.Clone(list), i, j+1))
			}
			again := slices.Insert(slices.Clone(list), j+1, list[i])
			refused(fmt.Sprintf("block %d again behind block %d", i, j), again)
		}
	}
	// Whole sessions in another order.
	var parts [][]block
	for i := first; i < len(list); i++ {
		if list[i].kind == blockSession {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], list[i])
	}
	for _, order := range [][]int{{1, 0, 2}, {0, 2, 1}, {2, 1, 0}, {0, 2}, {1, 2}, {0, 1, 1, 2}, {0, 0, 1, 2}, {1}, {2}} {
		moved := slices.Clone(list[:first])
		for _, i := range order {
			moved = append(moved, parts[i]...)
		}
		refused(fmt.Sprint("sessions ", order), moved)
	}
	// Blocks that have no place in a journal, and one that is no block.
	for _, b := range append(slices.Clone(list[:first]), block{kind: '?', all: appendBlockHead(nil, '?', 0)}) {
		refused(fmt.Sprintf("%q in the journal", b.kind), append(slices.Clone(list), b))
	}
}

// Two files of one root key and one state, and two copies of one file, do not
// take each other's entries.
func TestJournalsDoNotMix(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	set(t, db, "c/v/r", "secret")
	arena := newArena(t)
	a, journalA := write(t, k, h, db)
	b, journalB := write(t, k, h, db)
	one, two := set(t, db, "c/v/1", "1"), set(t, db, "c/v/2", "2")
	entryA, entryB := seal(t, journalA, one), seal(t, journalB, one)
	mustOpen(t, arena, slices.Concat(a, entryA)).Close()
	mustOpen(t, arena, slices.Concat(b, entryB)).Close()
	for _, file := range [][]byte{slices.Concat(a, entryB), slices.Concat(b, entryA), slices.Concat(a, entryA, seal(t, journalB, two))} {
		_, err := open(t, arena, file)
		isDamaged(t, err, "journal")
	}

	// Copies that went different ways from the same entry on.
	left, right := mustOpen(t, newArena(t), slices.Concat(a, entryA)), mustOpen(t, newArena(t), slices.Concat(a, entryA))
	defer left.Close()
	defer right.Close()
	onLeft := seal(t, left.Journal, set(t, left.DB, "c/v/2", "left"))
	onRight := seal(t, right.Journal, set(t, right.DB, "c/v/2", "right"))
	third := seal(t, right.Journal, set(t, right.DB, "c/v/3", "right"))
	mustOpen(t, arena, slices.Concat(a, entryA, onRight, third)).Close()
	for _, file := range [][]byte{
		slices.Concat(a, entryA, onLeft, onRight), slices.Concat(a, entryA, onLeft, third), slices.Concat(a, entryA, onRight, onLeft),
	} {
		_, err := open(t, arena, file)
		isDamaged(t, err, "journal")
	}
}

// Sections and index of two files of one root key do not mix, sections keep
// their order, and the index knows them all.
func TestSectionsDoNotMix(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	for _, c := range []string{"a", "b", "c"} {
		set(t, db, c+"/v/r", "secret")
	}
	arena := newArena(t)
	file, _ := write(t, k, h, db)
	header, list := blocksOf(t, file)
	other, _ := write(t, k, h, db)
	_, theirs := blocksOf(t, other)
	last := len(list) - 1
	refused := func(what, where string, list ...block) {
		t.Helper()
		s, err := open(t, arena, join(header, list))
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", what)
			return
		}
		isDamaged(t, err, where)
	}
	refused("a section left out", "index", list[0], list[1], list[3])
	refused("sections swapped", "client section", list[1], list[0], list[2], list[3])
	refused("a section twice", "index", list[0], list[0], list[1], list[2], list[3])
	refused("a section of another file", "client section", list[0], theirs[1], list[2], list[3])
	refused("the index of another file", "index", list[0], list[1], list[2], theirs[last])
	refused("all of another file", "index", theirs...)
	refused("no index", "client section", list[:last]...)
	refused("only the index", "index", list[last])
	refused("a section behind the index", "journal", append(slices.Clone(list), list[0])...)
	refused("the index twice", "journal", append(slices.Clone(list), list[last])...)
	refused("a session before the index", "client section", block{all: appendBlockHead(nil, blockSession, 0)})
}

// A session's key is of no use to anybody after a restart.
func TestRestart(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	file, j := write(t, k, h, db)
	before := j.Tag()
	change := set(t, db, "c/v/r", "secret")
	lost := sealed(t, j, change) // not written: the disk was full
	j.Restart(before)
	again := sealed(t, j, change)
	if lost[0] != blockSession || again[0] != blockSession {
		t.Fatal("an entry without a session")
	}
	if bytes.Equal(lost[blockHead:blockHead+saltSize], again[blockHead:blockHead+saltSize]) {
		t.Error("a salt came twice")
	}
	if n := len(lost) - blockHead - saltSize; bytes.Equal(lost[len(lost)-n:], again[len(again)-n:]) {
		t.Error("an entry came twice: its key did")
	}
	arena := newArena(t)
	s := mustOpen(t, arena, slices.Concat(file, batch(again)))
	if s.Journal.Tag() != j.Tag() {
		t.Error("the reader and the writer disagree on where the journal ends")
	}
	s.Close()
	// Half of a lost batch before it is no business of the reader's: the writer cuts it off.
	_, err := open(t, arena, slices.Concat(file, batch(lost)[:len(lost)/2], batch(again)))
	isDamaged(t, err, "journal")

	for range 3 {
		j.Restart(j.Tag())
		j.Close()
	}
	isEmptyBut(t, k)
}

// isEmptyBut fails if the arena holds more than the root key, and the key of records twice.
func isEmptyBut(t testing.TB, k *Keys) {
	t.Helper()
	all, err := k.arena.New(k.arena.Size() - 3*64)
	if err != nil {
		t.Fatal("something was left in the arena")
	}
	all.Destroy()
}

// What the arena cannot hold fails, and costs nothing.
func TestFullArena(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	change := set(t, db, "c/v/r", "secret")
	file, j := write(t, k, h, db)
	all, err := k.arena.New(k.arena.Size() - 3*64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Seal(change); err == nil {
		t.Error("a session without a key")
	}
	if _, err := Write(new(bytes.Buffer), k, h, db.Freeze(), nil); err == nil {
		t.Error("a file without keys")
	}
	all.Destroy()
	isEmptyBut(t, k)
	arena := newArena(t)
	for free := 0; ; free += 64 {
		taken, err := arena.New(arena.Size() - free)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Read(bytes.NewReader(file), with(arena, passphrase), Options{Arena: arena})
		taken.Destroy()
		if err == nil {
			s.Close()
			break
		}
		isEmpty(t, arena)
		if free > 1024 {
			t.Fatal(err)
		}
	}
}

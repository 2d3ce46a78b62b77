package snapshot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// batches makes a file with a journal of batches of several entries, and says
// where each of them ends; the first end is that of the folded file.
func batches(t testing.TB, k *Keys, h *Header, db *vault.DB) (file []byte, ends []int) {
	t.Helper()
	file, j := write(t, k, h, db)
	ends = append(ends, len(file))
	for i := range 4 {
		var entries [][]byte
		for e := range 1 + i*2 {
			entries = append(entries, sealed(t, j, set(t, db, fmt.Sprintf("c/v/%d-%d", i, e), "a secret of some length, so that sectors are full")))
		}
		file = append(file, batch(entries...)...)
		ends = append(ends, len(file))
	}
	return file, ends
}

// What a disk may show after the power went while the last batch was written:
// any of its sectors, and zeros for the others, or an end before it, or the room that
// was made for others. That is no
// damage, and the state is the one before.
func TestTorn(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	file, ends := batches(t, k, h, db)
	arena := newArena(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	rounds := 300
	if raceDetector {
		rounds = 20
	}
	for last := 1; last < len(ends); last++ {
		start, end := ends[last-1], ends[last]
		for range rounds {
			b := bytes.Clone(file[:end])
			written := true
			for at := start; at < end; {
				next := min(end, at-at%sectorSize+sectorSize)
				if rnd.IntN(2) == 0 {
					clear(b[at:next])
					written = written && bytes.Equal(b[at:next], file[at:next])
				}
				at = next
			}
			if rnd.IntN(3) == 0 { // the end is nearer
				b = b[:start+rnd.IntN(end-start)+1]
				written = written && len(b) == end
			}
			if rnd.IntN(2) == 0 { // there is room behind it
				b = append(b, make([]byte, rnd.IntN(5000))...)
			}
			s, err := open(t, arena, b)
			if written {
				if err != nil || s.Recovered || int(s.Length) != end {
					t.Fatalf("a batch that was written: %v", err)
				}
				s.Close()
				continue
			}
			if err != nil {
				t.Fatalf("the last batch, %d to %d: %v", start, end, err)
			}
			if s.Recovered == zeros(b[start:]) || int(s.Length) != start {
				t.Fatalf("recovered %v, %d of %d bytes", s.Recovered, s.Length, start)
			}
			s.Close()
		}
		// Zeros alone are room.
		s := mustOpen(t, arena, append(bytes.Clone(file[:end]), make([]byte, 1+rnd.IntN(5000))...))
		if s.Recovered || int(s.Length) != end {
			t.Fatalf("zeros behind the end: recovered %v, %d of %d bytes", s.Recovered, s.Length, end)
		}
		s.Close()
	}
}

// What does not look like that, or has something behind it, is damage.
func TestNotTorn(t *testing.T) {
	k, h := newKeys(t)
	db := newDB(t, k)
	file, ends := batches(t, k, h, db)
	arena := newArena(t)
	refused := func(what string, b []byte) {
		t.Helper()
		s, err := open(t, arena, b)
		if err == nil {
			t.Errorf("%s: accepted; recovered %v, length %d", what, s.Recovered, s.Length)
			s.Close()
			return
		}
		isDamaged(t, err, "journal")
	}
	for i := 1; i < len(ends)-1; i++ { // there is a batch behind each
		b := bytes.Clone(file)
		clear(b[ends[i-1]:ends[i]])
		refused(fmt.Sprintf("batch %d is zeros", i), b)
		b = bytes.Clone(file)
		clear(b[ends[i-1] : ends[i-1]+blockHead])
		refused(fmt.Sprintf("the head of batch %d is zeros", i), b)
		b = bytes.Clone(file)
		clear(b[ends[i-1]+blockHead : ends[i]])
		refused(fmt.Sprintf("the body of batch %d is zeros", i), b)
		refused(fmt.Sprintf("batch %d is left out", i), slices.Concat(file[:ends[i-1]], file[ends[i]:]))
	}
	refused("something behind the end", append(bytes.Clone(file), bytes.Repeat([]byte("x"), 100)...))
	last := ends[len(ends)-2] // the last batch is in several sectors
	beyond := bytes.Clone(file)
	clear(beyond[last+blockHead+sectorSize:])
	beyond = append(beyond, make([]byte, 3*sectorSize)...)
	if s := mustOpen(t, arena, beyond); !s.Recovered || int(s.Length) != last {
		t.Errorf("recovered %v, %d of %d bytes", s.Recovered, s.Length, last)
	} else {
		s.Close()
	}
	beyond[len(beyond)-1] = 1
	refused("something behind a batch that was not written, and room", beyond)
	refused("a bit in the room", append(bytes.Clone(file), append(make([]byte, 100), 1, 0)...))
	refused("a batch of nothing", append(bytes.Clone(file), batch()...))
	refused("a batch without its checksum", append(bytes.Clone(file), appendBlockHead(nil, blockBatch, 0)...))
}

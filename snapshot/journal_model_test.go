package snapshot

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/stronghold-go/stronghold/vault"
)

// drawEdit is any edit, of sizes about those that a reader takes; it says whether one does.
func drawEdit(t *rapid.T) (vault.Edit, bool) {
	size := func(least, most int) (int, bool) {
		n := rapid.SampledFrom([]int{0, least, least + 1, most, most, most + 1}).Draw(t, "size")
		return n, least <= n && n <= most
	}
	client := vault.ClientID([]byte(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "client")))
	in := vault.VaultID([]byte("v"))
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		n, fits := size(0, maxName)
		return vault.Edit{Client: client, Item: &vault.Item{Key: make([]byte, n)}}, fits
	case 1:
		n, fits := size(minSealed, maxName+nameExtra)
		return vault.Edit{Client: client, ClientName: make([]byte, n)}, fits || n == 0
	case 2:
		n, fits := size(minSealed, maxName+nameExtra)
		return vault.Edit{Client: client, Vault: in, VaultName: make([]byte, n), Keep: new(uint64)}, fits || n == 0
	case 3:
		n, fits := size(0, maxHint)
		return vault.Edit{Client: client, Vault: in, Record: &vault.Record{ID: vault.ID{1}, Sealed: make([]byte, minSealed), Hint: make([]byte, n)}}, fits
	default:
		n, fits := size(minSealed, 100)
		return vault.Edit{Client: client, Vault: in, Record: &vault.Record{ID: vault.ID{2}, Sealed: make([]byte, n)}}, fits || n == 101
	}
}

// Whatever changes come, and some that no reader would take among them: each is sealed or
// refused, those that are sealed are read again, and nothing else is.
func TestJournalModel(t *testing.T) {
	k, h := newKeys(t)
	steps, failed := 0, 0
	defer func() {
		if t.Failed() {
			t.Logf("found after %d steps", failed)
		}
	}()
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		ended := false
		defer func() {
			if !ended && failed == 0 {
				failed = steps
			}
		}()
		file, j := write(outer, k, h, newDB(outer, k))
		var last uint64
		var entries []byte
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				steps++
				c := &vault.Change{Sequence: last + 1}
				fits := true
				for range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 3}).Draw(t, "edits") {
					e, ok := drawEdit(t)
					c.Edits, fits = append(c.Edits, e), fits && ok
				}
				sealed, err := j.Seal(c)
				if err != nil && (fits && len(c.Edits) > 0 || !errors.Is(err, errUnreadable)) {
					t.Fatalf("a reader takes it: %t; sealing: %v", fits, err)
				}
				if err == nil {
					entries = append(entries, sealed[0]...)
					last++
				}
			},
			"read": func(t *rapid.T) {
				steps++
				all := file
				if last > 0 {
					all = append(file[:len(file):len(file)], batch(entries)...)
				}
				s, err := readBelow(outer, k, all)
				if err != nil {
					t.Fatalf("what was sealed is not read: %v", err)
				}
				defer s.Close()
				if got := s.DB.Sequence(); got != last {
					t.Fatalf("change %d is the last that is read, of %d", got, last)
				}
			},
		})
		ended = true
	})
}

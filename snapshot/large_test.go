package snapshot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// A section that is kept whole before its length is written, and one that is gone
// through twice, are read as what they were written from.
func TestLargeSections(t *testing.T) {
	value := strings.Repeat("v", vault.MaxValue)
	for _, n := range []int{chunkSize/vault.MaxValue + 1, maxHeld/vault.MaxValue - 2, maxHeld/vault.MaxValue + 2} {
		k, h := newKeys(t)
		db := newDB(t, k)
		for i := range n {
			setItem(t, db, "client", fmt.Sprint("key ", i), value)
		}
		file, _ := write(t, k, h, db)
		s := mustOpen(t, newArena(t), file)
		if got := dump(t, s.DB); got != dump(t, db) {
			t.Errorf("%d values are not what was written", n)
		}
		s.Close()
	}
}

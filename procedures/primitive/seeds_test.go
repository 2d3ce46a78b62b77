package primitive

import (
	"os"
	"path/filepath"
	"testing"
)

// A fuzz target whose seeds went away runs on nothing and passes. So they are counted.
func TestFuzzSeedsExist(t *testing.T) {
	for target, least := range map[string]int{
		"FuzzParsePath": 8,
		"FuzzMnemonic":  8,
	} {
		files, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(files) < least {
			t.Errorf("%s: %d seeds, want %d or more", target, len(files), least)
		}
	}
}

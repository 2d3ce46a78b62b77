package local

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// noRename is a disk that ends before a file has another name.
type noRename struct{ systemDisk }

var errNoRename = errors.New("the power is gone")

func (noRename) Rename(string, string) error { return errNoRename }

// TestRestoreAfterFoldThatCrashed: while it is not known which of two files the home has, a
// restore that crashes leaves both to be taken.
func TestRestoreAfterFoldThatCrashed(t *testing.T) {
	home := t.TempDir()
	st, err := openState(filepath.Join(home, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	before, folded, restored := mark{seq: 1, tag: [16]byte{1}}, mark{seq: 1, tag: [16]byte{2}}, mark{seq: 9, tag: [16]byte{3}}
	if err := st.setMarks(before, folded); err != nil {
		t.Fatal(err)
	}
	s := &Stronghold{home: home, state: st, disk: noRename{}}
	if err := os.WriteFile(s.path(vaultFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.putInPlace("unused", &Verified{mark: restored}); !errors.Is(err, errNoRename) {
		t.Fatal(err)
	}
	for _, m := range []mark{before, folded, restored} {
		if !slices.Contains(st.marks(), m) {
			t.Errorf("the file that ends with %x would be refused", m.tag[:1])
		}
	}
}

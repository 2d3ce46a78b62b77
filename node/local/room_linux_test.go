package local_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// A file that is open has room behind its journal, and a copy of it is whole. A file
// that is closed, or kept, has none.
func TestRoom(t *testing.T) {
	cfg := quickHome(t)
	s := open(t, cfg)
	s.SetKeep(1)
	unlock(t, s)
	path := filepath.Join(cfg.Home, "vault.stronghold")
	verified := func(path string) *local.Verified {
		t.Helper()
		v, err := local.Verify(t.Context(), path, local.VerifyOptions{Secret: []byte(passphrase)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for i := range 3 {
		if err := put(t.Context(), s, fmt.Sprint(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.WriteFile(copied, b, 0o600); err != nil {
			t.Fatal(err)
		}
		v := verified(copied)
		if v.Recovered || v.Changes != uint64(i)+1 || v.Length >= v.Size {
			t.Errorf("a copy of the open file: %+v", v)
		}
		if len(bytes.Trim(b[v.Length:], "\x00")) > 0 {
			t.Error("there is something behind the journal")
		}
	}
	if _, err := s.Client().Do(t.Context(), save()); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), s, "more", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for path, changes := range map[string]uint64{path: 4, path + ".1": 3} {
		if v := verified(path); v.Recovered || v.Length != v.Size || v.Changes != changes {
			t.Errorf("%s: %+v", filepath.Base(path), v)
		}
	}
}

// A disk that has no room but for the change has room enough.
func TestNoRoom(t *testing.T) {
	for _, kind := range []faultKind{failOnce, shortWrite} {
		cfg := quickHome(t)
		s := open(t, cfg)
		d := newFaultDisk(filepath.Join(cfg.Home, "vault.stronghold"), emptySnapshot(t))
		s.SetDisk(d)
		begin(t, s)
		for i := range 8 {
			d.mu.Lock()
			if d.fault = (fault{}); kind == failOnce || i == 0 { // else there is some room
				d.ops, d.fault = 0, fault{at: 2, kind: kind} // the write behind the change's
			}
			d.mu.Unlock()
			if err := put(t.Context(), s, fmt.Sprint(i), []byte("x")); err != nil {
				t.Fatalf("%v, change %d: %v", kind, i, err)
			}
		}
		d.killed()
		if err := s.Client().Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.SetDisk(d.image(0, nil))
		if err := s.Client().UnlockWith(t.Context(), []byte(passphrase), protocol.UnlockOptions{}); err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			if _, err := get(t.Context(), s, fmt.Sprint(i)); err != nil {
				t.Errorf("%v, change %d: %v", kind, i, err)
			}
		}
		s.Close()
	}
}

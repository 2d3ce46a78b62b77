//go:build linux

package vault

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"unsafe"
)

// memoryAt is this process's memory, read from outside: who holds a slice of it
// would keep it from being overwritten.
func memoryAt(t *testing.T, at uintptr, n int) []byte {
	t.Helper()
	f, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, int64(at)); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCollect: the ciphertext of what was revoked, replaced or purged is not in
// memory any more when Collect has said so, and that of what was not is.
func TestCollect(t *testing.T) {
	db := newDB(t)
	type place struct {
		at     uintptr
		sealed []byte
	}
	// Where the ciphertext lies, and a copy of it.
	spot := func(p Place) place {
		r, err := db.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		return place{uintptr(unsafe.Pointer(&r.Sealed[0])), bytes.Clone(r.Sealed)}
	}
	stays := at("c/v/stays")
	var lost []place
	for _, p := range []Place{stays, at("c/v/revoked"), at("c/v/replaced"), at("c/v/moved"), at("purged/v/r")} {
		put(t, db, p, "a secret of some length, so that it is no small allocation")
		if p.RecordName != nil && string(p.RecordName) != "stays" {
			lost = append(lost, spot(p))
		}
	}
	kept := spot(stays)
	if !bytes.Equal(memoryAt(t, kept.at, len(kept.sealed)), kept.sealed) {
		t.Fatal("the test looks in the wrong place")
	}
	view := db.Freeze() // is being written to a file, and reads on
	revoke(t, db, at("c/v/revoked"))
	put(t, db, at("c/v/replaced"), "another")
	for _, f := range []func(tx *Tx) error{
		func(tx *Tx) error { _, _, err := tx.Move(at("c/v/moved"), at("c/v/elsewhere"), false); return err },
		func(tx *Tx) error { return tx.PurgeClient(ClientID([]byte("purged"))) },
	} {
		c, err := db.Stage(f)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, db, c)
	}
	if left := db.Collect(); left != len(lost) {
		t.Errorf("%d pieces are left that a view reads, want %d", left, len(lost))
	}
	for i, l := range lost {
		if !bytes.Equal(memoryAt(t, l.at, len(l.sealed)), l.sealed) {
			t.Errorf("piece %d was overwritten while a view reads it", i)
		}
	}
	runtime.KeepAlive(view)
	view = nil
	if left := db.Collect(); left != 0 {
		t.Errorf("%d pieces are left that nobody reads", left)
	}
	for i, l := range lost {
		if b := memoryAt(t, l.at, len(l.sealed)); bytes.Equal(b, l.sealed) {
			t.Errorf("piece %d is still in memory", i)
		}
	}
	if !bytes.Equal(memoryAt(t, kept.at, len(kept.sealed)), kept.sealed) {
		t.Error("what was not revoked was overwritten")
	}
	want(t, db, stays, "a secret of some length, so that it is no small allocation")
	want(t, db, at("c/v/elsewhere"), "a secret of some length, so that it is no small allocation")
	if left := db.Collect(); left != 0 {
		t.Errorf("%d pieces are left of nothing", left)
	}
}

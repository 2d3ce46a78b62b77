package vault

import (
	"bytes"
	"errors"
)

// Disable has the record at p refuse every use, or lets it be used again. Its
// secret is not opened for it.
func (tx *Tx) Disable(p Place, on bool) error {
	old, p, err := tx.find(p)
	if err != nil {
		return err
	}
	if on == (old.Flags&Disabled != 0) {
		return nil // it is so already
	}
	r := *old
	r.Flags ^= Disabled
	r.Changed = tx.stamp
	r.Sealed = bytes.Clone(old.Sealed) // each record has bytes of its own, to be wiped with it
	return tx.add(p, Edit{Record: &r})
}

// Copy puts what is at from at to as well, with its kind, flags and hint: the
// same secret, sealed anew for its place. It returns where it went, with the
// number that a head was given.
func (tx *Tx) Copy(from, to Place, overwrite bool) (r *Record, at Place, err error) {
	old, from, err := tx.find(from)
	switch {
	case err != nil:
		return nil, to, err
	case old.Flags&Disabled != 0:
		return nil, to, ErrDisabled
	case !to.Head && from.Client == to.Client && from.Vault == to.Vault && from.Record == to.Record:
		return nil, to, ErrSame
	}
	err = tx.db.open(old, from, func(_, secret []byte) error {
		at, err = tx.Put(to, Value{Kind: old.Kind, Flags: old.Flags, Hint: bytes.Clone(old.Hint), Secret: secret}, overwrite)
		return err
	})
	return old, at, err
}

// Move is Copy, and leaves a tombstone where the record was.
func (tx *Tx) Move(from, to Place, overwrite bool) (r *Record, at Place, err error) {
	_, from, err = tx.find(from) // before the copy: it may be the next head
	if err != nil {
		return nil, to, err
	}
	if r, at, err = tx.Copy(from, to, overwrite); err != nil {
		return nil, at, err
	}
	if err = tx.Revoke(from); errors.Is(err, ErrNotFound) {
		err = nil // it was the oldest version that is kept, and gave way to the copy
	}
	return r, at, err
}

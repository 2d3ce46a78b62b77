package vault

import (
	"bytes"
	"runtime"
	"time"
)

// What is revoked, disabled or replaced is so for those, too, who had begun to use
// it: [DB.Lend] looks again when it is done. And its ciphertext goes: the piece it
// rests in is overwritten when the last reader has let go of it, which the garbage
// collector knows. A view that is being written to a file is a reader.

// gone notes that a piece has lost its place, and has it overwritten.
func (db *DB) gone(p packed) {
	db.losses.Add(1)
	db.wiping.Add(1)
	runtime.SetFinalizer(p.at, db.wipe)
}

func (db *DB) wipe(at *byte) {
	clear(packed{at}.bytes())
	if db.wiping.Add(-1) == 0 {
		select {
		case db.wiped <- struct{}{}:
		default:
		}
	}
}

// Collect overwrites the ciphertext of all that has lost its place, and returns how
// many pieces are read still: those are overwritten when their readers are done.
func (db *DB) Collect() (left int) {
	for range collectTries {
		if db.wiping.Load() == 0 {
			return 0
		}
		runtime.GC()
		select {
		case <-db.wiped:
		case <-time.After(collectPause):
		}
	}
	return int(db.wiping.Load())
}

const (
	collectTries = 4
	collectPause = 250 * time.Millisecond // for a million pieces to be overwritten
)

// stands says whether what was lent of r, at p, may be given out: r is still there,
// or what is there holds the same. again says that something else is there.
func (db *DB) stands(r *Record, p Place) (again bool, err error) {
	now, _, err := db.find(p)
	switch {
	case err != nil:
		return false, err
	case now.Flags&Disabled != 0:
		return false, ErrDisabled
	}
	return now.Changed != r.Changed && !bytes.Equal(now.Sealed, r.Sealed), nil
}

// lendTries is how often a record may be replaced while it is lent, before that is given up.
const lendTries = 8

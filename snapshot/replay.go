package snapshot

import (
	"bufio"
	"bytes"
	"io"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// replayer goes through the journal of a file and hands out its entries. What an
// entry does to a client opens for itself: see edits.
type replayer struct {
	keys *Keys
	file [idSize]byte
	each func(*entry) error

	last [tagSize]byte  // of the entry before
	key  *memory.Secret // of the session
	n    uint64         // of the entry in it

	batch, end int64 // where the last batch begins, and ends
}

func (r *replayer) close() {
	if r.key != nil {
		r.key.Destroy()
		r.key = nil
	}
}

// read reads batch after batch, up to the end or the room behind them. recovered says that the
// last one is not whole: it was being written, and what came before it counts.
func (r *replayer) read(in *blocks) (recovered bool, err error) {
	in.where = "journal"
	for {
		kind, size, err := in.next()
		switch {
		case err == io.EOF:
			return false, nil
		case err == io.ErrUnexpectedEOF && in.fault == nil:
			return !zeros(in.head[:in.at-in.start]), nil
		case err == errMalformed:
			return in.tornHead()
		case err != nil:
			return false, err
		case kind != blockBatch:
			return false, errMalformed
		}
		start := in.start
		body, err := in.body(size)
		if err == io.ErrUnexpectedEOF && in.fault == nil {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		blocks, ok := inBatch(body)
		if !ok {
			if in.isRoom() && cutOff(start, append(in.head[:], body...)) {
				return true, nil
			}
			return false, errMalformed
		}
		if err := r.readBatch(in, blocks); err != nil {
			return false, err
		}
		r.batch, r.end = start, in.at
	}
}

// readBatch reads what the body of a batch holds. in has just read it.
func (r *replayer) readBatch(in *blocks, b []byte) error {
	end, entries := in.at-1, 0
	begun := false // a session has begun and has no entry yet
	for inside := (&blocks{r: bufio.NewReader(bytes.NewReader(b))}); ; {
		in.start = end - int64(len(b)) + inside.at
		kind, size, err := inside.next()
		if err == io.EOF && !begun && entries > 0 {
			return nil
		}
		if err != nil || size > int64(len(b))-inside.at {
			return errMalformed
		}
		body := b[inside.at : inside.at+size]
		inside.r.Discard(int(size))
		inside.at += size
		switch {
		case kind == blockSession && size == saltSize && !begun:
			r.close()
			if r.key, err = r.keys.session(body, r.file); err != nil {
				return err
			}
			r.n, begun = 0, true
		case kind == blockEntry && r.key != nil:
			if err := r.readEntry(body); err != nil {
				return err
			}
			r.n++
			begun = false
			entries++
		default:
			return errMalformed
		}
	}
}

// body reads a block of the journal. It allocates as bytes come in, not as the
// length promises.
func (in *blocks) body(size int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.CopyN(&b, in, size)
	if err == io.EOF && n < size {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

func (r *replayer) readEntry(sealed []byte) error {
	if len(sealed) < tagSize {
		return errMalformed
	}
	tag := [tagSize]byte(sealed[len(sealed)-tagSize:])
	plain, err := r.open(entryNonce(r.n), sealed, r.last[:])
	if err != nil {
		return err
	}
	e, err := decodeEntry(plain)
	if err != nil {
		return errMalformed
	}
	r.last = tag
	return r.each(e)
}

// edits opens part i of an entry that is being handed out.
func (r *replayer) edits(e *entry, i int) ([]vault.Edit, error) {
	p := &e.parts[i]
	plain, err := r.open(partNonce(r.n, i), p.sealed, p.client[:])
	if err != nil {
		return nil, err
	}
	d := decoder{r: bytes.NewReader(plain)}
	edits, err := d.edits(p)
	if err != nil {
		return nil, errMalformed
	}
	return edits, nil
}

// open decrypts in place, under the session's key.
func (r *replayer) open(nonce [12]byte, sealed, ad []byte) (plain []byte, err error) {
	memory.Erase(func() {
		err = r.key.Use(func(key []byte) error {
			var err error
			plain, err = primitive.ChaChaOpen(sealed[:0], (*[32]byte)(key), &nonce, sealed, ad)
			return err
		})
	})
	if err != nil {
		return nil, errMalformed
	}
	return plain, nil
}

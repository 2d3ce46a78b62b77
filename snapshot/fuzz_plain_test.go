package snapshot

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// FuzzPlain is FuzzRead behind the encryption: a file as a list of what is sealed in it,
// which is sealed here, so that the reader gets to see what is within. Each piece is a
// block's type, the length of what follows (2 bytes), and that:
//
//	C   salt (32), plaintext of a section
//	I   plaintext of the index
//	B   nothing: a batch begins
//	S   salt (32) of a session
//	E   an entry, whose parts have edits where they have something sealed
func FuzzPlain(f *testing.F) {
	k := fixedKeys(f)
	h := k.header(f, passphrase)
	f.Fuzz(func(t *testing.T, b []byte) {
		file, ok := sealedFile(t, k, h, b)
		if !ok {
			return
		}
		s, err := readBelow(t, k, file)
		if err != nil {
			return
		}
		defer s.Close()
		if got := rewritten(t, k, file[:s.Length]); !bytes.Equal(got, file[:s.Length]) {
			t.Fatalf("written again it is another file")
		}
	})
}

func appendPiece(b []byte, kind byte, data ...[]byte) []byte {
	all := bytes.Join(data, nil)
	b = binary.BigEndian.AppendUint16(append(b, kind), uint16(len(all)))
	return append(b, all...)
}

// sealedFile is the file that pieces describe, if they describe one.
func sealedFile(t testing.TB, k *Keys, h *Header, pieces []byte) (file []byte, ok bool) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	head := Header{FileID: h.FileID, Slots: h.Slots}
	keys := k.again(t)
	defer keys.Destroy()
	must(k.sealRecords(&head))
	mac, err := k.mac(&head)
	must(err)
	out := bytes.NewBuffer(append(head.encode(), mac...))
	j := newJournal(keys, head.FileID, 0, [tagSize]byte{}, nil)
	defer j.Close()
	var blocks []byte
	flush := func() {
		if blocks != nil {
			out.Write(batch(blocks))
		}
	}
	for len(pieces) > 0 {
		if len(pieces) < 3 || len(pieces)-3 < int(binary.BigEndian.Uint16(pieces[1:])) {
			return nil, false
		}
		n := 3 + int(binary.BigEndian.Uint16(pieces[1:]))
		kind, data := pieces[0], pieces[3:n:n]
		pieces = pieces[n:]
		if (kind == blockClient || kind == blockSession) && len(data) < saltSize ||
			(kind == blockSession || kind == blockEntry) && blocks == nil || kind == blockEntry && j.key == nil {
			return nil, false
		}
		switch kind {
		case blockClient:
			key, err := k.derive("client", data[:saltSize], nil)
			must(err)
			out.Write(appendBlockHead(nil, blockClient, saltSize+streamSize(int64(len(data)-saltSize))))
			out.Write(data[:saltSize])
			s := newStreamWriter(out, key, nil)
			s.Write(data[saltSize:])
			must(s.Close())
			key.Destroy()
		case blockIndex:
			j.last, err = k.writeIndex(out, head.FileID, mac, data)
			must(err)
		case blockBatch:
			flush()
			blocks = []byte{}
		case blockSession:
			j.Close()
			j.key, err = keys.session(data, head.FileID)
			must(err)
			j.n = 0
			blocks = append(appendBlockHead(blocks, blockSession, int64(len(data))), data...)
		case blockEntry:
			if e, err := decodeEntry(data); err == nil {
				for i := range e.parts {
					p := &e.parts[i]
					nonce := partNonce(j.n, i)
					p.sealed = j.sealUnder(nil, &nonce, p.sealed, p.client[:])
				}
				data = appendEntry(nil, e)
			}
			blocks = j.sealPlain(blocks, data)
		default:
			return nil, false
		}
	}
	flush()
	return out.Bytes(), true
}

// piecesOf takes a file apart: sealedFile the other way round.
func piecesOf(t testing.TB, k *Keys, file []byte) (pieces []byte) {
	t.Helper()
	keys := k.again(t)
	defer keys.Destroy()
	in := newBlocks(bytes.NewReader(file))
	h, mac, err := ReadHeader(in)
	if err != nil {
		t.Fatal(err)
	}
	r := &replayer{keys: keys, file: h.FileID}
	defer r.close()
	r.each = func(e *entry) error {
		for i := range e.parts {
			p := &e.parts[i]
			if p.sealed, err = r.open(partNonce(r.n, i), p.sealed, p.client[:]); err != nil {
				return err
			}
		}
		pieces = appendPiece(pieces, blockEntry, appendEntry(nil, e))
		return nil
	}
	for {
		kind, size, err := in.next()
		if err != nil {
			return pieces
		}
		body, err := in.body(size)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case blockClient:
			pieces = appendPiece(pieces, kind, body[:saltSize], plainStream(t, keys, "client", body[:saltSize], body[saltSize:], nil, nil))
		case blockIndex:
			pieces = appendPiece(pieces, kind, plainStream(t, keys, "index", h.FileID[:], body, mac, &r.last))
		case blockBatch:
			pieces = appendPiece(pieces, kind)
			for _, b := range split(t, body[sumSize:len(body)-1]) {
				if b.kind == blockSession {
					r.close()
					if r.key, err = keys.session(b.body, r.file); err != nil {
						t.Fatal(err)
					}
					r.n = 0
					pieces = appendPiece(pieces, blockSession, b.body)
				} else if err := r.readEntry(bytes.Clone(b.body)); err != nil {
					t.Fatal(err)
				} else {
					r.n++
				}
			}
		}
	}
}

// plainStream is what a STREAM holds. last, if there is one, gets the tag of its last chunk.
func plainStream(t testing.TB, k *Keys, purpose string, salt, sealed, ad []byte, last *[tagSize]byte) []byte {
	t.Helper()
	key, err := k.derive(purpose, salt, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	s := newStreamReader(bytes.NewReader(sealed), int64(len(sealed)), key, ad)
	plain, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if last != nil {
		*last = s.tag
	}
	return plain
}

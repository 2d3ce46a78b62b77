package sandbox

import (
	"bytes"
	"io"
	"testing"
)

// What is cut off a record as a piece is what appendPiece makes of it.
func FuzzPiece(f *testing.F) {
	f.Add(appendPiece(nil, 1, kindRequest, 3, []byte("abc")))
	f.Add(appendPiece(nil, 1, kindMove, 4, []byte{1, 0, 0, 0}))
	f.Add(appendPiece(appendPiece(nil, 1<<63, kindAnswer, MaxPayload, []byte("a")), 2, kindDrop, 0, nil))
	f.Add(appendRequest(nil, 7, 1000, []byte("request"), timeHead+3))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, rest, err := cutPiece(b)
		if err != nil {
			return
		}
		again := append(appendPiece(nil, p.id, p.kind, p.total, p.data), rest...)
		if !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
		if len(p.data) > p.total || len(p.data) > maxPiece || p.total > MaxPayload+timeHead {
			t.Errorf("a piece of %d bytes of %d", len(p.data), p.total)
		}
		var m message
		if whole, err := m.add(p); err != nil || whole != (len(p.data) == p.total) {
			t.Errorf("add: %v, %v", whole, err)
		}
	})
}

// Nothing but what was sealed opens, however it is cut up, and nothing makes the opener panic or hang.
func FuzzRecord(f *testing.F) {
	key := make([]byte, 32)
	sealed := func(texts ...string) []byte {
		s, _ := newSequence(key)
		seal := sealer{s}
		var all []byte
		for _, text := range texts {
			b, _ := seal.seal(append(newRecord(nil), text...))
			all = append(all, b...)
		}
		return all
	}
	f.Add(sealed("one"), byte(0))
	f.Add(sealed("one", "two", string(make([]byte, maxRecord))), byte(7))
	f.Add([]byte{17, 0, 0, 0}, byte(1))
	f.Fuzz(func(t *testing.T, b []byte, step byte) {
		s, _ := newSequence(key)
		o := opener{sequence: s, r: &stepReader{b, int(step) + 1}}
		seal, _ := newSequence(key)
		again := sealer{seal}
		read := 0
		for {
			plain, err := o.record()
			if err != nil {
				if err == io.EOF && read != len(b) {
					t.Errorf("the end after %d of %d bytes", read, len(b))
				}
				return
			}
			r, _ := again.seal(append(newRecord(nil), plain...))
			if !bytes.Equal(r, b[read:read+len(r)]) {
				t.Errorf("opened what was not sealed at %d", read)
			}
			read += len(r)
		}
	})
}

// stepReader returns n bytes at a time.
type stepReader struct {
	b []byte
	n int
}

func (r *stepReader) Read(b []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.b[:min(r.n, len(r.b))])
	r.b = r.b[n:]
	return n, nil
}

func FuzzLayers(f *testing.F) {
	f.Add(appendLayers(nil, []Layer{{"syscall filter", true, true, ""}, {"Landlock", false, false, "a\tnote\n"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		layers, err := parseLayers(b)
		if err != nil {
			return
		}
		again, err := parseLayers(appendLayers(nil, layers))
		if err != nil || len(again) != len(layers) {
			t.Errorf("%q: %v, %v", b, again, err)
		}
	})
}

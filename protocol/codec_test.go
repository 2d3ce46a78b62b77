package protocol

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// requestFrame is a frame whose message has n bytes.
func requestFrame(n int) *Frame {
	return &Frame{Id: 7, Body: &Frame_Request{Request: &Request{
		Id: make([]byte, 16), Operation: "ed25519.sign", Message: bytes.Repeat([]byte{'m'}, n)}}}
}

// frameOf is a request frame of exactly n bytes, without its length.
func frameOf(t *testing.T, n int) *Frame {
	t.Helper()
	for m := n - 60; m < n; m++ {
		if f := requestFrame(m); proto.Size(f) == n {
			return f
		}
	}
	t.Fatalf("no frame of %d bytes", n)
	return nil
}

func TestFrameRoundTrip(t *testing.T) {
	frames := []*Frame{
		{Id: 1, Body: &Frame_Request{Request: &Request{}}},
		{Id: 1<<64 - 1, Body: &Frame_Response{Response: &Response{Status: Status_DENIED}}},
		requestFrame(0),
	}
	for _, n := range []int{127, 128, readBuffer - 1, readBuffer, readBuffer + 1, 1<<14 - 1, 1 << 14, MaxFrame - 1, MaxFrame} {
		frames = append(frames, frameOf(t, n))
	}
	var stream []byte
	for _, f := range frames {
		var err error
		if stream, err = AppendFrame(stream, f); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReaderSize(bytes.NewReader(stream), readBuffer)
	for i, want := range frames {
		got, err := ReadFrame(r)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("frame %d came back different", i)
		}
	}
	if _, err := ReadFrame(r); err != io.EOF {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
}

func TestAppendFrameTooLong(t *testing.T) {
	before := []byte("before")
	got, err := AppendFrame(before, frameOf(t, MaxFrame+1))
	if !errors.Is(err, ErrFrameTooLong) || !bytes.Equal(got, before) {
		t.Errorf("got %d bytes and %v", len(got), err)
	}
}

// lengthDelimited is a frame made by hand.
func lengthDelimited(message []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(message))), message...)
}

// nested puts message into a field of an outer one.
func nested(field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), message)
}

func TestReadFrameRefuses(t *testing.T) {
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1)
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"a length over the limit", binary.AppendUvarint(nil, MaxFrame+1), ErrFrameTooLong},
		{"a length of four bytes", []byte{0x80, 0x80, 0x80, 0x01}, ErrFrameTooLong},
		{"an endless length", bytes.Repeat([]byte{0xff}, 64), ErrFrameTooLong},
		{"a length that is not minimal", []byte{0x80, 0x00}, ErrMalformed},
		{"a longer one", []byte{0x81, 0x80, 0x00}, ErrMalformed},
		{"a cut length", []byte{0x80}, io.ErrUnexpectedEOF},
		{"no message", []byte{5}, io.ErrUnexpectedEOF},
		{"no body", lengthDelimited(nil), ErrMalformed},
		{"an id without a body", lengthDelimited([]byte{0x08, 0x01}), ErrMalformed},
		{"noise", lengthDelimited([]byte{0xde, 0xad, 0xbe, 0xef}), ErrMalformed},
		{"an unknown field in the frame", lengthDelimited(append(nested(2, nil), unknown...)), ErrMalformed},
		{"an unknown field in the request", lengthDelimited(nested(2, unknown)), ErrMalformed},
		{"an unknown field in a location", lengthDelimited(nested(2, nested(5, unknown))), ErrMalformed},
		{"an unknown field in the response", lengthDelimited(nested(3, unknown)), ErrMalformed},
		{"an unknown field in an entry's location", lengthDelimited(nested(3, nested(8, nested(1, unknown)))), ErrMalformed},
		{"an unknown field in a layer", lengthDelimited(nested(3, nested(20, nested(4, nested(2, unknown))))), ErrMalformed},
		{"an unknown status", lengthDelimited(nested(3, []byte{0x08, 0x7f})), ErrMalformed},
		{"a known field of another type", lengthDelimited(nested(2, []byte{0x10, 0x01})), ErrMalformed},
		{"text that is not UTF-8", lengthDelimited(nested(2, nested(2, []byte{0xff}))), ErrMalformed},
		{"a message longer than its frame", lengthDelimited([]byte{0x12, 0x7f, 0x00}), ErrMalformed},
		{"bytes after the message", lengthDelimited(append(nested(2, nil), 0)), ErrMalformed},
		{"a group", lengthDelimited(nested(2, []byte{0x0b, 0x0c})), ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := ReadFrame(bufio.NewReaderSize(bytes.NewReader(test.in), readBuffer))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v and %v, want %v", f, err, test.want)
			}
		})
	}
}

// TestReadFrameCut cuts frames, of either side of the reader's buffer, at many places.
func TestReadFrameCut(t *testing.T) {
	for _, size := range []int{100, readBuffer + 100} {
		whole, err := AppendFrame(nil, frameOf(t, size))
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			_, err := ReadFrame(bufio.NewReaderSize(bytes.NewReader(whole[:n]), readBuffer))
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if _, e := (&frameReader{r: bytes.NewReader(whole[:n])}).next(); e != want {
				t.Fatalf("the other reader, cut at %d of %d: %v, want %v", n, len(whole), e, want)
			}
			if err != want {
				t.Fatalf("cut at %d of %d: %v, want %v", n, len(whole), err, want)
			}
		}
	}
}

// TestErrorsShowNoInput: what was read may be a secret that lost its way.
func TestErrorsShowNoInput(t *testing.T) {
	const secret = "correct horse battery staple"
	for _, in := range [][]byte{
		[]byte(secret),
		nested(2, []byte(secret)),
		nested(2, nested(2, []byte(secret+"\xff"))),
		append(nested(2, nil), nested(1000, []byte(secret))...),
	} {
		err := Unmarshal(in, new(Frame))
		if err == nil {
			t.Errorf("%q was accepted", in)
			continue
		}
		for _, word := range strings.Fields(secret) {
			if strings.Contains(err.Error(), word) {
				t.Errorf("the error shows its input: %v", err)
			}
		}
	}
}

// TestReadFrameKeepsNothing: a frame must not change when the next one is read
// into the same buffer.
func TestReadFrameKeepsNothing(t *testing.T) {
	one := &Frame{Id: 1, Body: &Frame_Request{Request: &Request{Operation: "one", Message: []byte("first")}}}
	two := &Frame{Id: 2, Body: &Frame_Request{Request: &Request{Operation: "two", Message: []byte("other")}}}
	b, _ := AppendFrame(nil, one)
	b, _ = AppendFrame(b, two)
	r := bufio.NewReaderSize(iotest{bytes.NewReader(b)}, readBuffer)
	got, err := ReadFrame(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFrame(r); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, one) {
		t.Errorf("the first frame became %v", got)
	}
}

// iotest reads a byte at a time, so that the buffer is filled again and again.
type iotest struct{ r io.Reader }

func (i iotest) Read(p []byte) (int, error) { return i.r.Read(p[:min(len(p), 1)]) }

func TestMarshalIsDeterministic(t *testing.T) {
	req := &Request{Id: NewID(), Operation: "key.generate", Kind: Ed25519,
		Location: &Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}}
	first, err := Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if again, _ := Marshal(proto.CloneOf(req)); !bytes.Equal(first, again) {
			t.Fatal("the same message gave other bytes")
		}
	}
}

// FuzzReadFrame: whatever is accepted is the same message once encoded again,
// and no more is read than its length says.
func FuzzReadFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), readBuffer)
		frame, err := ReadFrame(r)
		// The reader that can be stopped says the same, however the frame comes.
		for _, again := range []*frameReader{{r: bytes.NewReader(in)}, {r: iotest{bytes.NewReader(in)}}} {
			if f, e := again.next(); (e == nil) != (err == nil) || err != nil && e.Error() != err.Error() || err == nil && !proto.Equal(f, frame) {
				t.Fatalf("one reader says %v, the other %v", err, e)
			}
		}
		if err != nil {
			return
		}
		size, n := binary.Uvarint(in)
		if rest, _ := io.ReadAll(r); len(rest) != len(in)-n-int(size) {
			t.Fatalf("read %d bytes of %d+%d", len(in)-len(rest), n, size)
		}
		again, err := AppendFrame(nil, frame)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadFrame(bufio.NewReaderSize(bytes.NewReader(again), readBuffer))
		if err != nil {
			t.Fatalf("what was accepted is refused once encoded again: %v", err)
		}
		if !proto.Equal(frame, back) {
			t.Fatal("what was accepted is another message once encoded again")
		}
	})
}

// FuzzUnmarshal: no request makes Check or Accesses panic, at any door, and
// what Check admits for a peer names each record by its path.
func FuzzUnmarshal(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		req := new(Request)
		if Unmarshal(in, req) != nil {
			return
		}
		b, err := Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		again := new(Request)
		if err := Unmarshal(b, again); err != nil || !proto.Equal(req, again) {
			t.Fatalf("another request once encoded again: %v", err)
		}
		for door := DoorZone; door <= DoorPeer; door++ {
			if Check(req, door) != nil {
				continue
			}
			op, ok := Lookup(req.Operation)
			if !ok || op.Door < door {
				t.Fatalf("admitted %q at the %s door", req.Operation, door)
			}
			for _, a := range op.Accesses(req) {
				if door == DoorPeer && a.Location.ByID() {
					t.Fatal("a peer may name a record by its id")
				}
				a.Location.Text()
			}
		}
	})
}

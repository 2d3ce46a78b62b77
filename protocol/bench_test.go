package protocol

import (
	"bufio"
	"bytes"
	"testing"
)

func BenchmarkCodec(b *testing.B) {
	req := request(string(make([]byte, 32)))
	in, err := Marshal(req)
	if err != nil {
		b.Fatal(err)
	}
	frame, _ := AppendFrame(nil, &Frame{Id: 1000, Body: &Frame_Request{Request: req}})
	resp := &Response{Status: Status_OK, Signature: make([]byte, 64)}
	out, _ := Marshal(resp)
	b.Run("read-frame", func(b *testing.B) {
		b.ReportAllocs()
		src := bytes.NewReader(frame)
		r := bufio.NewReaderSize(src, readBuffer)
		for b.Loop() {
			src.Reset(frame)
			r.Reset(src)
			if _, err := ReadFrame(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append-frame", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf, _ = AppendFrame(buf[:0], &Frame{Id: 1000, Body: &Frame_Request{Request: req}})
		}
	})
	b.Run("unmarshal-request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Unmarshal(in, new(Request)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("marshal-request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Marshal(req)
		}
	})
	b.Run("unmarshal-response", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Unmarshal(out, new(Response)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r := Check(req, DoorPeer); r != nil {
				b.Fatal(r)
			}
		}
	})
}

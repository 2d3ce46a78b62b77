package rust

import (
	"encoding/binary"
	"math"
	"time"
)

// The inner plaintext is bincode 1.3 with fixed-size integers: little-endian, lengths as u64, an option as one byte, a
// 24-byte array without a length. bincodeReader reads it with one sticky error: after the first, every method returns
// zero values and loops end.
type bincodeReader struct {
	data []byte
	off  int
	err  error
}

func (r *bincodeReader) fail(reason string) {
	if r.err == nil {
		r.err = &DamagedError{Stage: StageState, Offset: r.off, Reason: reason}
	}
}

// take returns the next n bytes, not copied.
func (r *bincodeReader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.data)-r.off) {
		r.fail("content is cut")
		return nil
	}
	b := r.data[r.off : r.off+int(n) : r.off+int(n)]
	r.off += int(n)
	return b
}

func (r *bincodeReader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *bincodeReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *bincodeReader) id() (id ID) {
	copy(id[:], r.take(uint64(len(id))))
	return id
}

// bytes returns a Vec<u8>, not copied.
func (r *bincodeReader) bytes() []byte { return r.take(r.u64()) }

// count reads the number of elements of a map or sequence whose elements have at least size bytes each. A number that
// the rest of the input cannot hold is refused, so that a caller may allocate for it.
func (r *bincodeReader) count(size int) int {
	n := r.u64()
	if r.err == nil && n > uint64(len(r.data)-r.off)/uint64(size) {
		r.off -= 8
		r.fail("more elements than the content can hold")
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *bincodeReader) option() bool {
	b := r.take(1)
	if b == nil || b[0] == 0 {
		return false
	}
	if b[0] != 1 {
		r.off--
		r.fail("invalid option")
		return false
	}
	return true
}

// A duration is a Rust Duration, or a SystemTime counted from the Unix epoch.
type duration struct {
	secs  uint64
	nanos uint32
}

func (r *bincodeReader) duration() duration {
	d := duration{r.u64(), r.u32()}
	if d.nanos >= 1e9 {
		r.off -= 4
		r.fail("invalid time")
	}
	return d
}

func (r *bincodeReader) optionalDuration() *duration {
	if !r.option() {
		return nil
	}
	d := r.duration()
	return &d
}

// time converts a SystemTime. Rust counts its seconds in an i64, and a time.Time counts them from the year 1, so that
// the last ones do not fit.
func (d duration) time() (time.Time, bool) {
	const yearOne = 62135596800
	if d.secs > math.MaxInt64-yearOne {
		return time.Time{}, false
	}
	return time.Unix(int64(d.secs), int64(d.nanos)).UTC(), true
}

// end refuses bytes after the last value. (The Rust program lets them pass, and never writes any.)
func (r *bincodeReader) end() error {
	if r.err == nil && r.off != len(r.data) {
		r.fail("bytes after the end of the content")
	}
	return r.err
}

// bincodeWriter is the way back. It never fails.
type bincodeWriter []byte

func (w *bincodeWriter) u64(v uint64) { *w = binary.LittleEndian.AppendUint64(*w, v) }
func (w *bincodeWriter) count(n int)  { w.u64(uint64(n)) }
func (w *bincodeWriter) id(id ID)     { *w = append(*w, id[:]...) }
func (w *bincodeWriter) bytes(b []byte) {
	w.count(len(b))
	*w = append(*w, b...)
}

func (w *bincodeWriter) option(some bool) {
	if some {
		*w = append(*w, 1)
	} else {
		*w = append(*w, 0)
	}
}

func (w *bincodeWriter) duration(d duration) {
	w.u64(d.secs)
	*w = binary.LittleEndian.AppendUint32(*w, d.nanos)
}

func (w *bincodeWriter) optionalDuration(d *duration) {
	w.option(d != nil)
	if d != nil {
		w.duration(*d)
	}
}

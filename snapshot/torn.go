package snapshot

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A batch is what was written at once, and made durable before anything was
// written behind it, but for zeros: a writer may make room for what is to come. So
// only the last batch of a file can be one that a crash has left unfinished, and a
// file shows it in one of two ways: it ends too early, be it with the file or in room,
// or there was room for the batch and not all of it was filled, so that whole sectors
// are zeros. Everything else that does not fit is damage.
const (
	sectorSize = 512  // what disks write at once, at least
	sumSize    = 4    // of a batch's checksum
	batchEnd   = 0xFF // the last byte of a batch: there is none while it is zero
)

// inBatch returns the blocks in the body of a batch, if it agrees with its checksum.
func inBatch(body []byte) (blocks []byte, ok bool) {
	end := len(body) - 1
	if end < sumSize || body[end] != batchEnd || binary.BigEndian.Uint32(body) != crc32.Checksum(body[sumSize:], castagnoli) {
		return nil, false
	}
	return body[sumSize:end], true
}

// cutOff says whether a batch that does not agree, and has nothing behind it, was
// being written. It begins at this offset of the file.
func cutOff(at int64, b []byte) bool { return b[len(b)-1] == 0 || torn(at, b) }

// torn says whether a sector of b, or as much of one as b has, is all zeros. b
// begins at this offset of the file.
func torn(at int64, b []byte) bool {
	for len(b) > 0 {
		n := min(int(sectorSize-at%sectorSize), len(b))
		if zeros(b[:n]) {
			return true
		}
		at, b = at+int64(n), b[n:]
	}
	return false
}

func zeros(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// isRoom says whether nothing more is to be read, or zeros.
func (in *blocks) isRoom() bool {
	for {
		if _, err := in.r.Peek(1); err != nil {
			return err == io.EOF
		}
		b, _ := in.r.Peek(in.r.Buffered())
		if !zeros(b) {
			return false
		}
		in.r.Discard(len(b))
	}
}

// tornHead says whether the head that has just been read, and is wrong, is what
// a crash has left of one, or no head at all but room. What follows it must be of the
// same batch: another batch would have been written after this one was durable.
func (in *blocks) tornHead() (bool, error) {
	rest, err := io.ReadAll(in)
	if err != nil {
		return false, err
	}
	all := append(in.head[:], rest...)
	if zeros(all) {
		return false, nil
	}
	if zeros(rest) {
		return true, nil
	}
	inHead := blockHead + sectorSize - 1 - int((in.start+blockHead-1)%sectorSize)
	if !torn(in.start, all[:min(len(all), inHead)]) {
		return false, errMalformed
	}
	for i := 1; i+blockHead <= len(all); i++ {
		head := all[i : i+blockHead]
		if head[0] == blockBatch && binary.BigEndian.Uint32(head[blockHead-4:]) == crc32.Checksum(head[:blockHead-4], castagnoli) {
			return false, errMalformed
		}
	}
	return true, nil
}

package local

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	batchHead = 1 + 8 + 4 + 4 // bytes before the entries of a batch
	batchEnd  = 0xFF          // the byte behind them
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealBatch completes a batch, as snapshot/FORMAT.md has it: b begins with room
// for its head, and entries follow. It is the one thing in the file that the node
// writes by itself. It tells a reader what was being written when the power went:
// a batch is durable before the next one is appended.
func sealBatch(b []byte) []byte {
	b = append(b, batchEnd)
	b[0] = 'B'
	binary.BigEndian.PutUint64(b[1:], uint64(len(b)-13))
	binary.BigEndian.PutUint32(b[9:], crc32.Checksum(b[:9], castagnoli))
	binary.BigEndian.PutUint32(b[13:], crc32.Checksum(b[batchHead:], castagnoli))
	return b
}

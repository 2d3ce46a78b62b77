package snapshot

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// builder makes files from parts that are authentic and may be anything.
type builder struct {
	t      *testing.T
	k      *Keys
	header []byte // with its MAC
	fileID [idSize]byte
}

var vectorArena *memory.Arena

// sharedArena is one arena for all vectors: making one takes longer than reading a file.
func sharedArena(t *testing.T) *memory.Arena {
	t.Helper()
	if vectorArena == nil {
		arena, err := memory.NewArena(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		vectorArena = arena
	}
	return vectorArena
}

func newBuilder(t *testing.T) *builder {
	t.Helper()
	k, h := newKeys(t)
	file, _ := write(t, k, h, newDB(t, k))
	header, _ := blocksOf(t, file)
	b := &builder{t: t, k: k, header: header}
	copy(b.fileID[:], header[len(magic)+2:])
	return b
}

func (b *builder) mac() []byte { return b.header[len(b.header)-macSize:] }

func rawBlock(kind byte, body ...[]byte) []byte {
	all := slices.Concat(body...)
	return append(appendBlockHead(nil, kind, int64(len(all))), all...)
}

// stream encrypts plaintext; tag is that of the last chunk.
func (b *builder) stream(purpose string, salt, ad, plain []byte) (out []byte, tag [tagSize]byte) {
	b.t.Helper()
	key, err := b.k.derive(purpose, salt, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer key.Destroy()
	var buf bytes.Buffer
	w := newStreamWriter(&buf, key, ad)
	if _, err := w.Write(plain); err != nil {
		b.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	return buf.Bytes(), w.tag
}

// part is a client section: its block, and its line in the index.
type part struct{ block, line []byte }

func (b *builder) section(id byte, plain []byte) part {
	b.t.Helper()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	stream, _ := b.stream("client", salt, nil, plain)
	return part{rawBlock(blockClient, salt, stream), line(id, salt, len(stream))}
}

func line(id byte, salt []byte, size int) []byte {
	return binary.BigEndian.AppendUint64(slices.Concat(ids(id), salt), uint64(size))
}

// indexOf is the plaintext of an index.
func indexOf(seq uint64, lines ...[]byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(lines)))
	return append(b, slices.Concat(lines...)...)
}

// folded is a file without a journal, and the tag that its first entry stands behind.
func (b *builder) folded(index []byte, parts ...part) ([]byte, [tagSize]byte) {
	b.t.Helper()
	file := slices.Clone(b.header)
	for _, p := range parts {
		file = append(file, p.block...)
	}
	stream, tag := b.stream("index", b.fileID[:], b.mac(), index)
	return append(file, rawBlock(blockIndex, stream)...), tag
}

// file is a folded file with these sections, after seven changes.
func (b *builder) file(parts ...part) []byte {
	b.t.Helper()
	file, _ := b.folded(indexOf(7, lines(parts)...), parts...)
	return file
}

func lines(parts []part) (all [][]byte) {
	for _, p := range parts {
		all = append(all, p.line)
	}
	return all
}

// journal begins behind a folded file.
func (b *builder) journal(parts ...part) (file []byte, j *Journal) {
	b.t.Helper()
	file, tag := b.folded(indexOf(7, lines(parts)...), parts...)
	j = &Journal{keys: b.k, file: b.fileID, last: tag}
	b.t.Cleanup(j.Close)
	return file, j
}

// entry seals any plaintext as an entry, with a session before the first.
func (b *builder) entry(j *Journal, plain []byte) []byte {
	b.t.Helper()
	out, err := j.seal(plain)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// The plaintexts, byte by byte from FORMAT.md.

func ids(n byte) []byte { return bytes.Repeat([]byte{n}, len(vault.ID{})) }

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func u64(n uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, n)
}

func bytes16(b []byte) []byte { return append(u16(len(b)), b...) }

func sealedOf(n int) []byte { return bytes.Repeat([]byte{0xee}, n) }

// rawRecord is a record; its zero value, with an id, is a whole one.
type rawRecord struct {
	id, kind byte
	flags    int
	bits     byte
	number   []byte
	hint     []byte
	hintSize int // if not that of hint
	sealed   []byte
	size     int // if not that of sealed
	tail     []byte
}

func (r rawRecord) bytes() []byte {
	b := append(ids(r.id), r.kind)
	b = append(append(b, u16(r.flags)...), r.bits)
	b = append(b, r.number...)
	size := len(r.hint)
	if r.hintSize != 0 {
		size = r.hintSize
	}
	b = append(append(b, byte(size)), r.hint...)
	b = append(b, make([]byte, 48)...) // stamps
	if r.bits&bitRevoked == 0 {
		if r.sealed == nil {
			r.sealed = sealedOf(minSealed)
		}
		if r.size == 0 {
			r.size = len(r.sealed)
		}
		b = append(append(b, u32(r.size)...), r.sealed...)
	}
	return append(b, r.tail...)
}

func rawVault(id byte, name []byte, next uint64, records ...rawRecord) []byte {
	b := slices.Concat(ids(id), bytes16(name), u64(next), u64(0), u64(uint64(len(records))))
	for _, r := range records {
		b = append(b, r.bytes()...)
	}
	return b
}

func rawItem(key string, value []byte) []byte {
	return slices.Concat(bytes16([]byte(key)), make([]byte, 24), u64(0), u32(len(value)), value)
}

func rawClient(id byte, name []byte, vaults, items [][]byte) []byte {
	return slices.Concat(ids(id), bytes16(name), u32(len(vaults)), slices.Concat(vaults...), u32(len(items)), slices.Concat(items...))
}

func list(b ...[]byte) [][]byte { return b }

// Edits, and the change that they are of.

func editOf(client byte, name []byte, kind byte, what ...[]byte) []byte {
	return slices.Concat(ids(client), bytes16(name), []byte{kind}, slices.Concat(what...))
}

func recordEdit(r rawRecord) []byte { return editOf(1, nil, editRecord, ids(2), u16(0), r.bytes()) }

func changeOf(seq uint64, edits ...[]byte) []byte {
	return slices.Concat(u64(seq), u32(len(edits)), slices.Concat(edits...))
}

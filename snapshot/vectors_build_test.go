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

// rawSection is a client section: its block, and its line in the index.
type rawSection struct{ block, line []byte }

func (b *builder) section(id byte, plain []byte) rawSection {
	b.t.Helper()
	salt := make([]byte, saltSize)
	rand.Read(salt)
	stream, _ := b.stream("client", salt, nil, plain)
	var name []byte // as the section has it, if that can be
	if rest := plain[min(len(plain), len(vault.ID{})):]; len(rest) > 2 {
		if n := int(binary.BigEndian.Uint16(rest)); n >= minSealed && n <= maxName+nameExtra && n <= len(rest)-2 {
			name = rest[2 : 2+n]
		}
	}
	return rawSection{rawBlock(blockClient, salt, stream), line(id, name, salt, len(stream))}
}

func line(id byte, name, salt []byte, size int) []byte {
	return slices.Concat(ids(id), bytes16(name), salt, u64(uint64(size)))
}

// indexOf is the plaintext of an index.
func indexOf(seq uint64, lines ...[]byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(lines)))
	return append(b, slices.Concat(lines...)...)
}

// folded is a file without a journal, and the tag that its first entry stands behind.
func (b *builder) folded(index []byte, parts ...rawSection) ([]byte, [tagSize]byte) {
	b.t.Helper()
	file := slices.Clone(b.header)
	for _, p := range parts {
		file = append(file, p.block...)
	}
	stream, tag := b.stream("index", b.fileID[:], b.mac(), index)
	return append(file, rawBlock(blockIndex, stream)...), tag
}

// file is a folded file with these sections, after seven changes.
func (b *builder) file(parts ...rawSection) []byte {
	b.t.Helper()
	file, _ := b.folded(indexOf(7, lines(parts)...), parts...)
	return file
}

func lines(parts []rawSection) (all [][]byte) {
	for _, p := range parts {
		all = append(all, p.line)
	}
	return all
}

// journal begins behind a folded file.
func (b *builder) journal(parts ...rawSection) (file []byte, j *Journal) {
	b.t.Helper()
	file, tag := b.folded(indexOf(7, lines(parts)...), parts...)
	j = newJournal(b.k, b.fileID, int64(len(file)), tag, nil)
	b.t.Cleanup(j.Close)
	return file, j
}

// entry seals a change as an entry, with a session before the first. spoil makes
// something else of its plaintext; or it is nil.
func (b *builder) entry(j *Journal, seq uint64, spoil func([]byte) []byte, parts ...rawPart) []byte {
	b.t.Helper()
	out, err := j.begin()
	if err != nil {
		b.t.Fatal(err)
	}
	plain := slices.Concat(u64(seq), u32(len(parts)))
	for i, p := range parts {
		nonce := partNonce(j.n, i)
		sealed := j.sealUnder(nil, &nonce, p.edits, ids(p.client))
		plain = slices.Concat(plain, ids(p.client), bytes16(p.name), []byte{p.gone}, u32(len(sealed)), sealed)
	}
	if spoil != nil {
		plain = spoil(plain)
	}
	return j.sealPlain(out, plain)
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

// rawPart is what a change does to a client.
type rawPart struct {
	client byte
	name   []byte
	gone   byte
	edits  []byte
}

func editsOf(client byte, edits ...[]byte) rawPart {
	return rawPart{client: client, edits: slices.Concat(u32(len(edits)), slices.Concat(edits...))}
}

func editOf(kind byte, what ...[]byte) []byte {
	return append([]byte{kind}, slices.Concat(what...)...)
}

func recordEdit(r rawRecord) []byte { return editOf(editRecord, ids(2), u16(0), r.bytes()) }

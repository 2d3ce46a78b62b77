package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// makeVectors makes them all.
func makeVectors(t *testing.T) (all []fileVector) {
	t.Helper()
	b := newBuilder(t)
	in := func(group string) func(expect, about string, file []byte) {
		n := 0
		return func(expect, about string, file []byte) {
			n++
			all = append(all, fileVector{fmt.Sprintf("%s-%03d", group, n), about, passphrase, expect, file})
		}
	}
	headerVectors(b, in("header"))
	for _, p := range []struct{ passphrase, about string }{{"wrong", "another passphrase"}, {"", "an empty passphrase"},
		{passphrase + " ", "a passphrase with a space behind it"}, {strings.ToUpper(passphrase), "a passphrase in other letters"}} {
		all = append(all, fileVector{"passphrase-" + fmt.Sprint(len(p.passphrase), p.passphrase == strings.ToUpper(passphrase)), p.about, p.passphrase, "wrong key", b.file()})
	}
	blockVectors(b, in("block"))
	streamVectors(b, in("stream"))
	sectionVectors(b, in("section"))
	indexVectors(b, in("index"))
	journalVectors(b, in("journal"))
	changeVectors(b, in("change"))
	endVectors(b, in("end"))
	return all
}

type add func(expect, about string, file []byte)

func flip(file []byte, at int, bit int) []byte {
	b := bytes.Clone(file)
	b[at] ^= 1 << bit
	return b
}

func headerVectors(b *builder, add add) {
	file := b.file()
	add("whole 7 0 0", "a file of nothing", file)
	for _, n := range []int{0, 1, 4, 6} {
		add("not a snapshot", fmt.Sprintf("the first %d bytes", n), file[:n])
	}
	for _, n := range []int{7, 8, 22, 23, 24, 25, len(b.header) / 2, len(b.header) - macSize - 1, len(b.header) - macSize, len(b.header) - 1} {
		add("damaged: header", fmt.Sprintf("the first %d bytes", n), file[:n])
	}
	for _, m := range []string{"parti", "PARTY", "\x00PART", "ARTIP"} {
		add("not a snapshot", fmt.Sprintf("it begins with %q", m), slices.Concat([]byte(m), file[len(magic):]))
	}
	for _, v := range [][2]byte{{0, 0}, {2, 0}, {3, 0}, {4, 1}, {5, 0}, {255, 255}} {
		add(fmt.Sprintf("version %d.%d", v[0], v[1]), fmt.Sprintf("version %d.%d", v[0], v[1]), slices.Concat(file[:5], v[:], file[7:]))
	}
	slots := len(magic) + 2 + idSize
	for _, n := range []byte{0, 2, maxSlots, maxSlots + 1, 255} {
		add("refused", fmt.Sprintf("the number of slots says %d", n), slices.Concat(file[:slots], []byte{n}, file[slots+1:]))
	}
	for at := len(magic) + 2; at < len(b.header)-macSize; at += 1 + len(b.header)/30 {
		add("refused", fmt.Sprintf("a bit is flipped in byte %d of the header", at), flip(file, at, at%8))
	}
	for at := len(b.header) - macSize; at < len(b.header); at += 5 {
		add("damaged: header", fmt.Sprintf("a bit is flipped in byte %d, in the MAC", at), flip(file, at, at%8))
	}
	add("damaged: header", "the MAC is zeros", slices.Concat(b.header[:len(b.header)-macSize], make([]byte, macSize), file[len(b.header):]))
	other := newBuilder(b.t)
	add("damaged: index", "the header of a file under another root key", append(slices.Clone(other.header), b.file(b.section(1, rawClient(1, nil, nil, nil)))[len(b.header):]...))
	add("damaged: index", "the same, of a file without sections", append(slices.Clone(other.header), file[len(b.header):]...))
}

// Everything about the heads of blocks.
func blockVectors(b *builder, add add) {
	client := b.section(1, rawClient(1, nil, nil, nil))
	file := b.file(client)
	at := len(b.header)
	index := at + len(client.block)
	for i := range blockHead {
		add("damaged: client section", fmt.Sprintf("a bit is flipped in byte %d of a section's head", i), flip(file, at+i, 3))
		add("damaged: client section", fmt.Sprintf("a bit is flipped in byte %d of the index's head", i), flip(file, index+i, 5))
	}
	for _, kind := range []byte{0, 'c', 'B', 'S', 'E', 'X', 0xff} {
		body := client.block[blockHead:]
		add("damaged: client section", fmt.Sprintf("a section is a block %q", kind), slices.Concat(b.header, rawBlock(kind, body), file[index:]))
	}
	for _, n := range []int64{0, 1, saltSize - 1, saltSize, saltSize + tagSize - 1, int64(len(client.block)-blockHead) - 1, int64(len(client.block)-blockHead) + 1, 1 << 40, 1 << 62, -1 << 63, -1} {
		add("damaged: client section", fmt.Sprintf("a section's length says %d", uint64(n)), slices.Concat(b.header, appendBlockHead(nil, blockClient, n), client.block[blockHead:], file[index:]))
	}
	size := int64(len(file) - index - blockHead)
	for _, n := range []int64{0, tagSize - 1, size - 1, size + 1, 1 << 40, -1} {
		expect := "damaged: index"
		if n < 0 {
			expect = "damaged: client section" // what it is is not known yet
		}
		add(expect, fmt.Sprintf("the index's length says %d", uint64(n)), slices.Concat(file[:index], appendBlockHead(nil, blockIndex, n), file[index+blockHead:]))
	}
	for _, n := range []int{at, at + 1, at + blockHead, at + blockHead + saltSize, index - 1, index, index + 1, index + blockHead - 1} {
		add("damaged: client section", fmt.Sprintf("the first %d bytes", n), file[:n])
	}
	for _, n := range []int{index + blockHead, len(file) - 1} {
		add("damaged: index", fmt.Sprintf("the first %d bytes", n), file[:n])
	}
}

// A section of two chunks.
func streamVectors(b *builder, add add) {
	value := bytes.Repeat([]byte("value"), 6_600)
	items := list(rawItem("a", value), rawItem("b", value))
	plain := rawClient(1, nil, nil, items)
	client := b.section(1, plain)
	add("whole 7 0 2", "a section of two chunks", b.file(client))
	const sealedChunk = chunkSize + tagSize
	begin := blockHead + saltSize
	edit := func(f func(stream []byte) []byte) []byte {
		stream := f(bytes.Clone(client.block[begin:]))
		p := rawSection{rawBlock(blockClient, client.block[blockHead:begin], stream), line(1, nil, client.block[blockHead:begin], len(stream))}
		return b.file(p)
	}
	for _, at := range []int{0, chunkSize, sealedChunk, len(client.block) - begin - tagSize, len(client.block) - begin - 1} {
		add("damaged: client section", fmt.Sprintf("a bit is flipped in byte %d of a section", at), edit(func(s []byte) []byte { return flip(s, at, 1) }))
	}
	add("damaged: client section", "two chunks are swapped", edit(func(s []byte) []byte {
		return slices.Concat(s[sealedChunk:], s[:sealedChunk])
	}))
	add("damaged: client section", "the first chunk is missing", edit(func(s []byte) []byte { return s[sealedChunk:] }))
	add("damaged: client section", "the last chunk is missing", edit(func(s []byte) []byte { return s[:sealedChunk] }))
	add("damaged: client section", "a chunk comes twice", edit(func(s []byte) []byte { return slices.Concat(s[:sealedChunk], s) }))
	add("damaged: client section", "something is behind the last chunk", edit(func(s []byte) []byte { return append(s, 0) }))
	add("damaged: client section", "a bit is flipped in the salt", func() []byte {
		p := rawSection{flip(client.block, blockHead, 0), nil}
		p.line = line(1, nil, p.block[blockHead:begin], len(client.block)-begin)
		return b.file(p)
	}())
	index := indexOf(7)
	for name, file := range map[string][]byte{"without the header's MAC": nil, "with another MAC": make([]byte, macSize)} {
		stream, _ := b.stream("index", b.fileID[:], file, index)
		add("damaged: index", "the index is sealed "+name, slices.Concat(b.header, rawBlock(blockIndex, stream)))
	}
	stream, _ := b.stream("client", b.fileID[:], b.mac(), index)
	add("damaged: index", "the index is sealed under a section's key", slices.Concat(b.header, rawBlock(blockIndex, stream)))
	salt := client.block[blockHead:begin]
	stream, _ = b.stream("client", salt, b.mac(), plain)
	add("damaged: client section", "a section is sealed with associated data", b.file(rawSection{rawBlock(blockClient, salt, stream), line(1, nil, salt, len(stream))}))
}

// What a section says, byte by byte.
func sectionVectors(b *builder, add add) {
	ok := rawRecord{id: 3}
	name := sealedOf(minSealed)
	one := func(expect, about string, plain []byte) { add(expect, about, b.file(b.section(1, plain))) }
	client := func(vaults, items [][]byte) []byte { return rawClient(1, nil, vaults, items) }
	inVault := func(r ...rawRecord) []byte { return client(list(rawVault(2, nil, 10, r...)), nil) }
	const bad = "damaged: client section"
	one("whole 7 0 0", "a client without anything", client(nil, nil))
	one("whole 7 0 0", "a vault without records", inVault())
	one("whole 7 1 0", "a record", inVault(ok))
	one("whole 7 1 0", "with names", rawClient(1, name, list(rawVault(2, name, 0, ok)), nil))
	one("whole 7 2 0", "a tombstone and a counter record", inVault(rawRecord{id: 3, bits: bitRevoked}, rawRecord{id: 4, bits: bitCounter, number: u64(9)}))
	one("whole 7 1 0", "the longest hint", inVault(rawRecord{id: 3, hint: sealedOf(maxHint)}))
	one("whole 7 1 0", "the longest sealed record", inVault(rawRecord{id: 3, sealed: sealedOf(maxSealed)}))
	one("whole 7 0 1", "an item", client(nil, list(rawItem("key", []byte("value")))))
	one("whole 7 0 2", "items without a key and without a value", client(nil, list(rawItem("", []byte("value")), rawItem("k", nil))))
	one("whole 7 3 0", "two vaults", client(list(rawVault(2, nil, 0, ok), rawVault(3, nil, 0, ok, rawRecord{id: 4})), nil))

	one(bad, "nothing", nil)
	one(bad, "a byte too many", append(client(nil, nil), 0))
	whole := rawClient(1, name, list(rawVault(2, name, 10, ok, rawRecord{id: 4, bits: bitCounter, number: u64(1)})), list(rawItem("key", []byte("value"))))
	for _, n := range []int{1, 23, 24, 25, 26, 67, 70, 72, 80, 120, 146, 154, 161, 166, 170, 186, 187, 190, 214, 240, 245, len(whole) - 5, len(whole) - 1} {
		one(bad, fmt.Sprintf("it ends after %d bytes", n), whole[:n])
	}
	one(bad, "a vault too few", slices.Concat(ids(1), u16(0), u32(2), rawVault(2, nil, 0, ok), u32(0)))
	one(bad, "four thousand million vaults", slices.Concat(ids(1), u16(0), u32(-1)))
	one(bad, "as many records as there are numbers", slices.Concat(ids(1), u16(0), u32(1), ids(2), u16(0), u64(0), u64(0), u64(1<<64-1)))
	one(bad, "four thousand million items", slices.Concat(ids(1), u16(0), u32(0), u32(-1)))
	one(bad, "vaults in another order", client(list(rawVault(3, nil, 0), rawVault(2, nil, 0)), nil))
	one(bad, "a vault twice", client(list(rawVault(2, nil, 0), rawVault(2, nil, 0)), nil))
	one(bad, "records in another order", inVault(rawRecord{id: 4}, rawRecord{id: 3}))
	one(bad, "a record twice", inVault(ok, ok))
	one(bad, "items in another order", client(nil, list(rawItem("b", nil), rawItem("a", nil))))
	one(bad, "an item twice", client(nil, list(rawItem("a", nil), rawItem("a", nil))))
	one(bad, "a client's name that is too short to be sealed", rawClient(1, sealedOf(minSealed-1), nil, nil))
	one(bad, "a client's name that is too long", rawClient(1, sealedOf(maxName+nameExtra+1), nil, nil))
	one(bad, "a vault's name that is too short to be sealed", client(list(rawVault(2, sealedOf(1), 0)), nil))
	one(bad, "a vault's name that is too long", client(list(rawVault(2, sealedOf(maxName+nameExtra+1), 0)), nil))
	one(bad, "a bit that means nothing", inVault(rawRecord{id: 3, bits: 1 << 7}))
	one(bad, "a counter record without its number", inVault(rawRecord{id: 3, bits: bitCounter}))
	one(bad, "a counter record at the vault's next number", inVault(rawRecord{id: 3, bits: bitCounter, number: u64(10)}))
	one(bad, "a counter record above the vault's next number", inVault(rawRecord{id: 3, bits: bitCounter, number: u64(1<<64 - 1)}))
	one(bad, "a hint that is too long", inVault(rawRecord{id: 3, hint: sealedOf(maxHint + 1)}))
	one(bad, "a hint that is longer than it says", inVault(rawRecord{id: 3, hint: []byte("hint"), hintSize: 3}))
	one(bad, "a sealed record that is too short", inVault(rawRecord{id: 3, sealed: sealedOf(minSealed - 1)}))
	one(bad, "a sealed record that is too long", inVault(rawRecord{id: 3, sealed: sealedOf(maxSealed + 1)}))
	one(bad, "a sealed record that is shorter than it says", inVault(rawRecord{id: 3, size: minSealed + 1}))
	one(bad, "a tombstone with a secret", inVault(rawRecord{id: 3, bits: bitRevoked, tail: append(u32(minSealed), sealedOf(minSealed)...)}))
	one(bad, "a key that is too long", client(nil, list(rawItem(string(sealedOf(maxName+1)), nil))))
	one(bad, "a value that is too long", client(nil, list(rawItem("key", sealedOf(64<<10+1)))))
}

func indexVectors(b *builder, add add) {
	plain := func(id byte) []byte { return rawClient(id, nil, list(rawVault(2, nil, 0, rawRecord{id: 3})), nil) }
	one, two, three := b.section(1, plain(1)), b.section(2, plain(2)), b.section(3, plain(3))
	ls := lines([]rawSection{one, two, three})
	made := func(index []byte, parts ...rawSection) []byte { file, _ := b.folded(index, parts...); return file }
	const bad = "damaged: index"
	add("whole 7 3 0", "three clients", made(indexOf(7, ls...), one, two, three))
	add("whole 0 3 0", "before the first change", made(indexOf(0, ls...), one, two, three))
	add(bad, "a section that the index does not have", made(indexOf(7, ls[:2]...), one, two, three))
	add(bad, "a section that the file does not have", made(indexOf(7, ls...), one, two))
	add("damaged: client section", "sections in another order than the index", made(indexOf(7, ls...), one, three, two))
	add(bad, "sections and the index in another order", made(indexOf(7, ls[0], ls[2], ls[1]), one, three, two))
	add(bad, "a section twice", made(indexOf(7, ls[0], ls[0]), one, one))
	again := b.section(1, plain(1))
	add(bad, "two sections of one client", made(indexOf(7, ls[0], again.line), one, again))
	add("damaged: client section", "a section in another's place", made(indexOf(7, ls...), one, b.section(2, plain(2)), three))
	add("damaged: client section", "another client than the index says", made(indexOf(7, line(9, nil, one.block[blockHead:blockHead+saltSize], len(one.block)-blockHead-saltSize)), one))
	add(bad, "another length than the index says", made(indexOf(7, line(1, nil, one.block[blockHead:blockHead+saltSize], 1)), one))
	add(bad, "a name that is too short", made(indexOf(7, line(1, sealedOf(1), one.block[blockHead:blockHead+saltSize], len(one.block)-blockHead-saltSize)), one))
	add("damaged: client section", "a name that the section does not have", made(indexOf(7, line(1, sealedOf(minSealed), one.block[blockHead:blockHead+saltSize], len(one.block)-blockHead-saltSize)), one))
	add(bad, "an empty index", made(nil))
	add(bad, "a byte too many", made(append(indexOf(7), 0)))
	add(bad, "an index that ends in a line", made(indexOf(7, ls[0])[:50], one))
	add(bad, "four thousand million sections", made(slices.Concat(u64(7), u32(-1)), one))
	theirs := newBuilder(b.t)
	foreign := theirs.section(1, plain(1))
	add("damaged: client section", "a section of another file", made(indexOf(7, foreign.line), foreign))
	add("damaged: client section", "no index", slices.Concat(b.header, one.block, two.block))
	add("damaged: client section", "no blocks", b.header)
	file := made(indexOf(7, ls[0]), one)
	add("damaged: journal", "the index twice", append(bytes.Clone(file), file[len(b.header)+len(one.block):]...))
	add("damaged: journal", "a section behind the index", append(bytes.Clone(file), two.block...))
}

package snapshot

import (
	"bytes"
	"fmt"
	"slices"
)

// What stands where in a journal.
func journalVectors(b *builder, add add) {
	file, j := b.journal()
	put := func(n byte) []byte { return b.entry(j, 7+uint64(n), nil, editsOf(1, recordEdit(rawRecord{id: n}))) }
	first := put(1)
	session, e1 := first[:blockHead+saltSize], first[blockHead+saltSize:]
	e2, e3 := put(2), put(3)
	j.Restart(j.Tag())
	fourth := put(4)
	session2, e4 := fourth[:blockHead+saltSize], fourth[blockHead+saltSize:]
	with := func(batches ...[]byte) []byte { return append(bytes.Clone(file), slices.Concat(batches...)...) }
	const bad = "damaged: journal"
	add("whole 8 1 0", "an entry", with(batch(session, e1)))
	add("whole 11 4 0", "four entries of two sessions, each a batch", with(batch(session, e1), batch(e2), batch(e3), batch(session2, e4)))
	add("whole 11 4 0", "the same in one batch", with(batch(session, e1, e2, e3, session2, e4)))
	add(bad, "an entry without a session", with(batch(e1)))
	add(bad, "a session without an entry", with(batch(session)))
	add(bad, "a session whose entry is in the next batch", with(batch(session), batch(e1)))
	add(bad, "two sessions before an entry", with(batch(session2, session, e1)))
	add(bad, "a session's entry under another session", with(batch(session2, e1)))
	add(bad, "the first entry is missing", with(batch(session, e2)))
	add(bad, "the second entry is missing", with(batch(session, e1), batch(e3)))
	add(bad, "two entries are swapped", with(batch(session, e1), batch(e3), batch(e2)))
	add(bad, "an entry comes twice", with(batch(session, e1), batch(e1)))
	add(bad, "a session comes twice", with(batch(session, e1), batch(session, e1)))
	add(bad, "a session without what was before it", with(batch(session2, e4)))
	add(bad, "a batch of nothing", with(batch()))
	add(bad, "a batch without a checksum", with(rawBlock(blockBatch)))
	add(bad, "a batch in a batch", with(batch(batch(session, e1))))
	add(bad, "a session outside of a batch", with(session, batch(e1)))
	add(bad, "an entry outside of a batch", with(batch(session, e1), e2))
	add(bad, "something behind the entries of a batch", with(batch(session, e1, []byte("x"))))
	add(bad, "an entry that reaches beyond its batch", with(batch(session, e1[:len(e1)-1])))
	add(bad, "a session that is too short", with(batch(rawBlock(blockSession, session[blockHead:len(session)-1]), e1)))
	add(bad, "a session that is too long", with(batch(rawBlock(blockSession, session[blockHead:], []byte("x")), e1)))
	add(bad, "an entry shorter than its tag", with(batch(session, rawBlock(blockEntry, e1[len(e1)-tagSize+1:]))))
	add(bad, "an entry of nothing", with(batch(session, rawBlock(blockEntry))))
	add(bad, "a block of another kind in a batch", with(batch(session, e1, rawBlock('X'))))
	add(bad, "a block of another kind behind a batch", with(batch(session, e1), rawBlock('X')))
	whole := batch(session, e1)
	for _, at := range []int{0, 4, 8, 9, 12, 13, 16, 17, 25, 26, 31, 63, 70, 80, len(whole) - 17, len(whole) - 1} {
		add(bad, fmt.Sprintf("a bit is flipped in byte %d of the journal, and there is more", at), with(flip(whole, at, at%8), batch(e2)))
	}
	broken := flip(e1, len(e1)-1, 0)
	add(bad, "an entry is not authentic, and its batch is whole", with(batch(session, broken)))
	add(bad, "a salt is another, and its batch is whole", with(batch(flip(session, len(session)-1, 0), e1)))
	other, theirs := b.journal(b.section(9, rawClient(9, nil, nil, nil)))
	foreign := b.entry(theirs, 8, nil, editsOf(1, recordEdit(rawRecord{id: 1})))
	add(bad, "an entry of another file of the same id", with(batch(foreign)))
	add("whole 8 1 0", "which is whole in its own", append(other, batch(foreign)...))
}

// What a change says, byte by byte.
func changeVectors(b *builder, add add) {
	client := b.section(1, rawClient(1, nil, list(rawVault(2, nil, 5, rawRecord{id: 3})), list(rawItem("key", []byte("value")))))
	of := func(expect, about string, seq uint64, spoil func([]byte) []byte, parts ...rawPart) {
		file, j := b.journal(client)
		add(expect, about, append(file, batch(b.entry(j, seq, spoil, parts...))...))
	}
	one := func(expect, about string, edits ...[]byte) { of(expect, about, 8, nil, editsOf(1, edits...)) }
	named := func(p rawPart, name []byte, gone byte) rawPart { p.name, p.gone = name, gone; return p }
	const bad = "damaged: journal"
	record, item := rawRecord{id: 4}, rawItem("key", []byte("other"))
	removed := slices.Concat(bytes16([]byte("key")), make([]byte, 24))
	one("whole 8 2 1", "a record", recordEdit(record))
	one("whole 8 1 1", "a record in another's place", recordEdit(rawRecord{id: 3}))
	one("whole 8 1 1", "a tombstone", recordEdit(rawRecord{id: 3, bits: bitRevoked}))
	one("whole 8 2 1", "a counter record", recordEdit(rawRecord{id: 4, bits: bitCounter, number: u64(5)}))
	one("whole 8 1 1", "an item", editOf(editItem, item))
	one("whole 8 1 0", "an item less", editOf(editRemove, removed))
	of("whole 8 1 1", "a client more", 8, nil, editsOf(9, editOf(editClient)))
	of("whole 8 0 0", "a client less", 8, nil, named(editsOf(1, editOf(editPurge)), nil, 1))
	one("whole 8 1 1", "a vault that keeps its last versions", editOf(editKeep, ids(2), u16(0), u64(3)))
	one(bad, "a number of versions to keep that is cut short", editOf(editKeep, ids(2), u16(0), u32(3)))
	one("whole 8 2 0", "two edits", recordEdit(record), editOf(editRemove, removed))
	of("whole 8 2 1", "edits of two clients", 8, nil, editsOf(1, recordEdit(record)), editsOf(9, editOf(editClient)))
	of("whole 8 0 0", "a client that goes, and comes, and goes", 8, nil, named(editsOf(1, editOf(editPurge), recordEdit(record), editOf(editPurge)), nil, 1))
	of("whole 8 1 0", "a client that goes, and comes", 8, nil, editsOf(1, editOf(editPurge), recordEdit(record)))
	for _, n := range []uint64{0, 7, 9, 1<<64 - 1} {
		of(bad, fmt.Sprintf("change %d behind change 7", n), n, nil, editsOf(1, recordEdit(record)))
	}
	is := func(plain []byte) func([]byte) []byte { return func([]byte) []byte { return plain } }
	of(bad, "nothing", 8, is(nil))
	of(bad, "no parts", 8, nil)
	one(bad, "no edits")
	of(bad, "an edit too few", 8, nil, rawPart{client: 1, edits: append(u32(2), recordEdit(record)...)})
	of(bad, "four thousand million edits", 8, nil, rawPart{client: 1, edits: append(u32(-1), recordEdit(record)...)})
	of(bad, "a part too few", 8, func(b []byte) []byte { b[11] = 2; return b }, editsOf(1, recordEdit(record)))
	of(bad, "four thousand million parts", 8, func(b []byte) []byte { copy(b[8:], u32(-1)); return b }, editsOf(1, recordEdit(record)))
	of(bad, "a byte too many", 8, func(b []byte) []byte { return append(b, 0) }, editsOf(1, recordEdit(record)))
	of(bad, "a byte too many in a part", 8, nil, rawPart{client: 1, edits: slices.Concat(u32(1), recordEdit(record), []byte{0})})
	of(bad, "clients in another order", 8, nil, editsOf(9, editOf(editClient)), editsOf(1, recordEdit(record)))
	of(bad, "two parts of one client", 8, nil, editsOf(1, recordEdit(record)), editsOf(1, recordEdit(record)))
	of(bad, "a client that goes, and the part does not say so", 8, nil, editsOf(1, editOf(editPurge)))
	of(bad, "a client that stays, and the part says that it goes", 8, nil, named(editsOf(1, recordEdit(record)), nil, 1))
	of(bad, "a part that says neither", 8, nil, named(editsOf(1, recordEdit(record)), nil, 2))
	of(bad, "a part of another client", 8, func(b []byte) []byte { copy(b[12:], ids(9)); return b }, editsOf(1, recordEdit(record)))
	of(bad, "parts that change places", 8, func(b []byte) []byte {
		n := (len(b) - 12) / 2
		first, second := b[12+24:12+n], b[12+n+24:]
		return slices.Concat(b[:12+24], second, b[12+n:12+n+24], first)
	}, editsOf(1, editOf(editClient)), editsOf(9, editOf(editClient)))
	of(bad, "a bit of a part is flipped", 8, func(b []byte) []byte { b[len(b)-20] ^= 4; return b }, editsOf(1, recordEdit(record)))
	of(bad, "a part shorter than its tag", 8, is(slices.Concat(u64(8), u32(1), ids(1), u16(0), []byte{0}, u32(tagSize-1), make([]byte, tagSize-1))))
	one(bad, "an edit of another kind", editOf('?', item))
	of(bad, "a client's name that is too short", 8, nil, named(editsOf(1, editOf(editItem, item)), sealedOf(1), 0))
	of(bad, "a client's name that is too long", 8, nil, named(editsOf(1, editOf(editItem, item)), sealedOf(maxName+nameExtra+1), 0))
	of(bad, "a client that goes, with a name", 8, nil, named(editsOf(1, editOf(editPurge)), sealedOf(minSealed), 1))
	one(bad, "a vault's name that is too short", editOf(editRecord, ids(2), bytes16(sealedOf(1)), record.bytes()))
	one(bad, "a vault's name that is too long", editOf(editRecord, ids(2), bytes16(sealedOf(maxName+nameExtra+1)), record.bytes()))
	one(bad, "a bit that means nothing", recordEdit(rawRecord{id: 4, bits: 1 << 7}))
	one(bad, "a hint that is too long", recordEdit(rawRecord{id: 4, hint: sealedOf(maxHint + 1)}))
	one(bad, "a sealed record that is too short", recordEdit(rawRecord{id: 4, sealed: sealedOf(minSealed - 1)}))
	one(bad, "a sealed record that is too long", recordEdit(rawRecord{id: 4, sealed: sealedOf(maxSealed + 1)}))
	one(bad, "a counter record without its number", recordEdit(rawRecord{id: 4, bits: bitCounter}))
	one(bad, "a key that is too long", editOf(editItem, rawItem(string(sealedOf(maxName+1)), nil)))
	one(bad, "a value that is too long", editOf(editItem, rawItem("key", sealedOf(64<<10+1))))
	one(bad, "an item that goes, with a value", editOf(editRemove, item))
	whole := editsOf(1, recordEdit(record)).edits
	for _, n := range []int{1, 3, 4, 5, 28, 30, 55, 57, 82, 132, len(whole) - 1} {
		of(bad, fmt.Sprintf("a part ends after %d bytes", n), 8, nil, rawPart{client: 1, edits: whole[:n]})
	}
	for _, n := range []int{1, 8, 11, 12, 36, 37, 38, 39, 42, 43, 100} {
		of(bad, fmt.Sprintf("it ends after %d bytes", n), 8, func(b []byte) []byte { return b[:n] }, editsOf(1, recordEdit(record)))
	}
}

// How a file may end.
func endVectors(b *builder, add add) {
	file, j := b.journal()
	put := func(n byte) []byte {
		return b.entry(j, 7+uint64(n), nil, editsOf(1, recordEdit(rawRecord{id: n, sealed: sealedOf(2000)})))
	}
	first, second := batch(put(1)), batch(put(2))
	kept := append(bytes.Clone(file), first...)
	for _, n := range []int{1, 8, 12, blockHead, blockHead + 2, blockHead + sumSize, 100, len(second) - 1} {
		add("recovered 8 1 0", fmt.Sprintf("the last batch ends after %d of its bytes", n), append(bytes.Clone(kept), second[:n]...))
		add("recovered 8 1 0", fmt.Sprintf("zeros follow %d bytes of the last batch", n), slices.Concat(kept, second[:n], make([]byte, 3000)))
	}
	for _, n := range []int{1, 100, 511, 512, 513, 5000} {
		add("whole 8 1 0", fmt.Sprintf("%d zeros behind the end", n), append(bytes.Clone(kept), make([]byte, n)...))
	}
	whole := append(bytes.Clone(kept), second...)
	sectors := func(from, to int) []byte { // zeros, from a sector's beginning on
		out := bytes.Clone(whole)
		clear(out[from:min(to, len(out))])
		return out
	}
	next := func(at int) int { return at - at%sectorSize + sectorSize }
	start := len(kept)
	add("whole 8 1 0", "the last batch is zeros", sectors(start, len(whole)))
	add("recovered 8 1 0", "the first sector of the last batch is zeros", sectors(start, next(start+blockHead-1)))
	add("recovered 8 1 0", "the second sector of the last batch is zeros", sectors(next(start), next(start)+sectorSize))
	add("recovered 8 1 0", "the last sector of the last batch is zeros", sectors(next(len(whole)-1)-sectorSize, len(whole)))
	add("damaged: journal", "half of a sector of the last batch is zeros", sectors(next(start), next(start)+sectorSize/2))
	add("damaged: journal", "a bit is flipped in the last batch", flip(whole, next(start)+10, 2))
	add("damaged: journal", "a bit is flipped in the head of the last batch", flip(whole, start+3, 2))
	add("damaged: journal", "the last byte of the last batch is another", append(bytes.Clone(whole[:len(whole)-1]), 1))
	add("damaged: journal", "something behind the end that is no batch", append(bytes.Clone(whole), bytes.Repeat([]byte("x"), 100)...))
	room := func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, 5000)...) }
	add("whole 9 2 0", "there is room behind the last batch", room(whole))
	add("recovered 8 1 0", "the first sector of the last batch is zeros, before room", room(sectors(start, next(start+blockHead-1))))
	add("recovered 8 1 0", "the last sector of the last batch is zeros, before room", room(sectors(next(len(whole)-1)-sectorSize, len(whole))))
	add("damaged: journal", "a bit is flipped in the last batch, before room", flip(room(whole), next(start)+10, 2))
	add("damaged: journal", "a bit is flipped in the room", flip(room(whole), len(whole)+blockHead, 2))
	add("damaged: journal", "a bit is flipped in the room behind a sector of zeros", flip(room(sectors(next(start), next(start)+sectorSize)), len(whole)+3000, 2))
	third := batch(put(3))
	more := func(b []byte) []byte { return append(bytes.Clone(b), third...) }
	add("whole 10 3 0", "and a third batch", more(whole))
	add("damaged: journal", "a batch before the last is zeros", more(sectors(start, len(whole))))
	add("damaged: journal", "the head of a batch before the last is zeros", more(sectors(start, start+blockHead)))
	add("damaged: journal", "a sector of a batch before the last is zeros", more(sectors(next(start), next(start)+sectorSize)))
	add("damaged: journal", "a batch before the last is missing", slices.Concat(kept, third))
	add("damaged: journal", "a batch before the last is cut", slices.Concat(whole[:len(whole)-1], third))
}

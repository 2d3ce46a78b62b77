package snapshot

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// rewritten is a file that a reader accepts, decoded and written again with the same
// keys, file id and salts: everything else in a file follows from what it says.
func rewritten(t testing.TB, k *Keys, file []byte) []byte {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("accepted, and not read again: %v", err)
		}
	}
	in := newBlocks(bytes.NewReader(file))
	h, mac, err := ReadHeader(in)
	must(err)
	s := &State{Keys: k.again(t), Header: h}
	defer s.Close()
	must(s.Keys.openRecords(h))
	must(s.newDB(Options{Arena: k.arena}))
	fresh := Header{FileID: h.FileID, Slots: h.Slots, Settings: h.Settings}
	must(s.Keys.sealRecords(&fresh))
	newMAC, err := s.Keys.mac(&fresh)
	must(err)
	out := bytes.NewBuffer(append(fresh.encode(), newMAC...))

	found, size, err := in.walk()
	must(err)
	must(s.readIndex(in, size, mac, found))
	index := binary.BigEndian.AppendUint64(nil, s.DB.Freeze().Sequence)
	index = binary.BigEndian.AppendUint32(index, uint32(len(found)))
	for i := range found {
		sec := &found[i]
		records, err := s.Keys.Records()
		must(err)
		db := vault.New(k.arena, records, [8]byte{})
		must(readSection(in, s.Keys, db, sec))
		again := section{id: db.Freeze().Clients[0].ID, name: db.Freeze().Clients[0].Name, salt: sec.salt}
		again.size, err = s.Keys.writeSalted(out, &db.Freeze().Clients[0], sec.salt[:])
		must(err)
		records.Destroy()
		index = appendSection(index, &again)
	}
	tag, err := s.Keys.writeIndex(out, fresh.FileID, newMAC, index)
	must(err)
	j := newJournal(s.Keys, fresh.FileID, int64(out.Len()), tag, nil)
	defer j.Close()
	r := &replayer{keys: s.Keys, file: h.FileID, last: s.Journal.first}
	defer r.close()
	must(in.seek(s.Base))
	for {
		_, size, err := in.next()
		if err == io.EOF {
			return out.Bytes()
		}
		must(err)
		body, err := in.body(size)
		must(err)
		out.Write(batch(resealed(t, r, j, body[sumSize:len(body)-1])))
	}
}

// resealed is the body of a batch, opened by r and sealed again by j.
func resealed(t testing.TB, r *replayer, j *Journal, body []byte) (out []byte) {
	t.Helper()
	for _, b := range split(t, body) {
		if b.kind == blockSession {
			r.close()
			j.Close()
			var err error
			if r.key, err = r.keys.session(b.body, r.file); err == nil {
				j.key, err = j.keys.session(b.body, j.file)
			}
			if err != nil {
				t.Fatal(err)
			}
			r.n, j.n = 0, 0
			out = append(appendBlockHead(out, blockSession, saltSize), b.body...)
			continue
		}
		r.each = func(e *entry) error {
			again := entry{sequence: e.sequence}
			for i := range e.parts {
				edits, err := r.edits(e, i)
				if err != nil {
					return err
				}
				for _, group := range byClient(edits) {
					p := partOf(group)
					nonce := partNonce(j.n, len(again.parts))
					p.sealed = j.sealUnder(nil, &nonce, appendEdits(nil, group), p.client[:])
					again.parts = append(again.parts, p)
				}
			}
			out = j.sealPlain(out, appendEntry(nil, &again))
			return nil
		}
		if err := r.readEntry(bytes.Clone(b.body)); err != nil {
			t.Fatalf("accepted, and not opened again: %v", err)
		}
		r.n++
	}
	return out
}

package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/vault"
)

// Damage is a place of a file that is not as it was written, and what it costs.
type Damage struct {
	Where       string   // "client section", "index", "journal", "entry", "entry without parts"
	Offset      int64    // of it, in bytes from the file's beginning
	Client      vault.ID // that has lost something; zero: not known which, or none
	First, Last uint64   // numbers of the changes that are lost, or of that which has lost something; 0: of none, or not known
	Lost        bool     // something is; else all that stood there is there
}

// Salvage is [Read] for a file that is damaged: it takes all that still opens, up to the
// damage and behind it, and says where something is missing. A file that is whole is
// read as it is. Each thing that it takes has been authenticated for itself; that nothing
// is left out between them, and that all are of the same age, no longer is. The header
// must be whole: it says who opens the file, and has the key of all records.
// All of the file comes to lie in memory.
func Salvage(r io.Reader, unlock func(*Header) (*Keys, error), o Options) (_ *State, damage []Damage, err error) {
	file, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	in := bytes.NewReader(file)
	h, mac, err := ReadHeader(in)
	if err != nil {
		return nil, nil, err
	}
	keys, err := unlock(h)
	if err != nil {
		return nil, nil, err
	}
	again, err := keys.same()
	if err != nil {
		keys.Destroy()
		return nil, nil, err
	}
	if s, err := Read(bytes.NewReader(file), func(*Header) (*Keys, error) { return again, nil }, o); err == nil {
		keys.Destroy()
		return s, nil, nil
	}
	s := &State{Keys: keys, Header: h}
	if err = keys.verify(h, mac); err == nil {
		err = keys.openRecords(h)
	}
	if err == nil {
		err = s.newDB(o)
	}
	v := &salvager{State: s, file: file, end: len(bytes.TrimRight(file, "\x00"))}
	if err == nil {
		err = v.body(len(file)-in.Len(), mac)
	}
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	s.Journal = newJournal(keys, h.FileID, int64(len(file)), [tagSize]byte{}, nil)
	s.Length = int64(len(file))
	return s, v.damage, nil
}

// salvager reads a file whose blocks may be anything.
type salvager struct {
	*State
	file   []byte
	end    int // of the file without the room behind it
	damage []Damage
}

// note says that something is missing, or only damaged.
func (v *salvager) note(d Damage) { v.damage = append(v.damage, d) }

// head reads the head of a block at a place of the file, if one is there.
func (v *salvager) head(at int) (kind byte, size int, ok bool) {
	if at < 0 || at+blockHead > len(v.file) {
		return 0, 0, false
	}
	b := v.file[at:][:blockHead]
	n := binary.BigEndian.Uint64(b[1:])
	switch b[0] {
	case blockClient, blockIndex, blockBatch, blockSession, blockEntry:
		ok = n < 1<<40 && binary.BigEndian.Uint32(b[9:]) == crc32.Checksum(b[:9], castagnoli)
	}
	return b[0], int(n), ok
}

// part is what of a range the file has.
func (v *salvager) part(at, size int) []byte {
	at = max(0, min(at, len(v.file)))
	return v.file[at:max(at, min(len(v.file), at+size))]
}

// body loads what the sections hold, and then the journal.
func (v *salvager) body(start int, mac []byte) error {
	var found []section
	at, index, lost := start, -1, -1
	for ; index < 0 && at < len(v.file); at++ {
		kind, size, ok := v.head(at)
		switch {
		case ok && kind == blockClient && size >= saltSize:
			sec := section{size: int64(size - saltSize), at: int64(at)}
			copy(sec.salt[:], v.part(at+blockHead, saltSize))
			found = append(found, sec)
			at += blockHead + size - 1
			continue
		case ok && kind == blockIndex:
			index = at
			at += blockHead + size - 1
			continue
		case !ok && lost < 0:
			lost = at
		}
		if ok { // of the journal
			break
		}
	}
	var sealed []byte
	if index >= 0 {
		_, size, _ := v.head(index)
		sealed = v.part(index+blockHead, size)
	}
	sections, seq, indexed, err := v.index(sealed, mac, start, found)
	if err != nil {
		return err
	}
	if lost >= 0 { // the index tells where what stood there is
		v.note(Damage{Where: "client section", Offset: int64(lost), Lost: !indexed})
	}
	if !indexed {
		v.note(Damage{Where: "index", Offset: int64(max(index, 0)), Lost: true})
		sections = found
	}
	for i := range sections {
		if err := v.section(&sections[i], indexed); err != nil {
			return err
		}
	}
	v.DB.Resume(seq)
	if err := v.journal(min(at, len(v.file)), indexed); err != nil {
		return err
	}
	if !indexed { // a number that is not known is not to be given again
		v.DB.Resume(max(v.DB.Sequence(), newest(v.DB)))
	}
	return nil
}

// newest is the highest number of a change that something in db has been put by.
func newest(db *vault.DB) (seq uint64) {
	view := db.Freeze()
	for i := range view.Clients {
		for _, vv := range view.Clients[i].Vaults {
			for r := range vv.Records {
				seq = max(seq, r.Changed.Sequence)
			}
		}
		_, items := view.Clients[i].Items()
		for it := range items {
			seq = max(seq, it.Changed.Sequence)
		}
	}
	return seq
}

// index reads the index, and finds the sections in it, whose heads may be damaged. If it does not open there
// are none.
func (v *salvager) index(sealed, mac []byte, start int, found []section) (sections []section, seq uint64, ok bool, err error) {
	key, err := v.Keys.derive("index", v.Header.FileID[:], nil)
	if err != nil {
		return nil, 0, false, err
	}
	defer key.Destroy()
	at, where := int64(start), map[[saltSize]byte]int64{}
	for i := range found {
		where[found[i].salt] = found[i].at
	}
	d := &decoder{r: bufio.NewReader(newStreamReader(bytes.NewReader(sealed), int64(len(sealed)), key, mac))}
	seq = d.u64()
	for n := d.u32(); n > 0 && d.err == nil; n-- {
		s := section{id: d.id(), name: d.name(), at: at}
		d.fill(s.salt[:])
		s.size = int64(d.u64())
		if there, ok := where[s.salt]; ok { // also if the file has become longer or shorter before it
			s.at = there
		}
		at = s.at + blockHead + s.body()
		sections = append(sections, s)
	}
	if d.end() != nil {
		return nil, 0, false, nil
	}
	return sections, seq, true, nil
}

// section loads a client's section, as far as it opens.
func (v *salvager) section(sec *section, indexed bool) error {
	key, err := v.Keys.derive("client", sec.salt[:], nil)
	if err != nil {
		return err
	}
	defer key.Destroy()
	b := v.part(int(sec.at)+blockHead+saltSize, int(sec.size))
	id, _, err := loadClient(newStreamReader(bytes.NewReader(b), sec.size, key, nil), v.DB)
	if indexed && id != sec.id { // it is there, and what the journal has of it finds its place
		id = sec.id
		v.DB.LoadClient(vault.ClientView{ID: sec.id, Name: sec.name})
	}
	if err != nil {
		v.note(Damage{Where: "client section", Offset: sec.at, Client: id, Lost: true})
	}
	return nil
}

// retag decrypts without authenticating, and returns the tag that the ciphertext should have.
func retag(key *[32]byte, nonce [12]byte, ciphertext, ad []byte) (plain []byte, tag [tagSize]byte) {
	stream := primitive.ChaChaSeal(nil, key, &nonce, make([]byte, len(ciphertext)), ad)
	plain = make([]byte, len(ciphertext))
	for i := range plain {
		plain[i] = ciphertext[i] ^ stream[i]
	}
	again := primitive.ChaChaSeal(nil, key, &nonce, plain, ad)
	copy(tag[:], again[len(ciphertext):])
	return plain, tag
}

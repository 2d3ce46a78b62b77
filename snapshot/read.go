package snapshot

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"hash/crc32"
	"io"

	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Options of [Read].
type Options struct {
	Arena  *memory.Arena
	Device [8]byte           // written into changes from now on
	Only   map[vault.ID]bool // load these clients and no others; nil: all

	Tags map[uint64][16]byte // gets the tag behind each change whose number is in it, if the file has one
}

// tagged says which tag is behind a change.
func (o *Options) tagged(seq uint64, tag [tagSize]byte) {
	if _, wanted := o.Tags[seq]; wanted {
		o.Tags[seq] = tag
	}
}

// State is an opened snapshot.
type State struct {
	DB        *vault.DB
	Keys      *Keys
	Header    *Header
	Journal   *Journal
	Base      int64 // bytes of the file before its journal
	Last      int64 // where the journal's last batch begins; 0: it has none
	Length    int64 // bytes of the file that hold it; what follows them was cut short, or is room
	Recovered bool  // the file ended within a batch: the state is the one before it
	records   *memory.Secret
}

// Close wipes the state's keys; its DB is of no more use.
func (s *State) Close() {
	if s.Journal != nil {
		s.Journal.Close()
	}
	if s.records != nil {
		s.records.Destroy()
	}
	s.Keys.Destroy()
}

// Create makes the state of a new, empty snapshot that opens with the secret, as
// [NewSlot] takes it.
func Create(arena *memory.Arena, secret []byte, cost int, room uint64) (*State, error) {
	k, err := NewKeys(arena)
	if err != nil {
		return nil, err
	}
	s := &State{Keys: k}
	slot, err := NewSlot(secret, cost, room)
	if err == nil {
		s.Header, _, err = new(Header).With(slot)
	}
	if err == nil {
		s.Header, err = k.Wrap(s.Header)
	}
	if err == nil {
		err = s.newDB(Options{Arena: arena})
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *State) newDB(o Options) (err error) {
	if s.records, err = s.Keys.Records(); err == nil {
		s.DB = vault.New(o.Arena, s.records, o.Device)
	}
	return err
}

// Read opens the snapshot that r holds, from its beginning. unlock finds its keys, which become the
// state's. Errors are [ErrNotASnapshot], [*VersionError], [*DamagedError], those of
// unlock, what the arena lacks, and what r returns.
func Read(r io.ReadSeeker, unlock func(*Header) (*Keys, error), o Options) (_ *State, err error) {
	in := newBlocks(r)
	h, mac, err := ReadHeader(in)
	if err != nil {
		return nil, in.explain(err)
	}
	keys, err := unlock(h)
	if err != nil {
		return nil, err
	}
	return read(in, h, mac, keys, o)
}

// read is Read after the header was read and a slot was opened. The keys are the
// state's, and destroyed if there is none.
func read(in *blocks, h *Header, mac []byte, keys *Keys, o Options) (_ *State, err error) {
	s := &State{Keys: keys, Header: h}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := keys.verify(h, mac); err != nil {
		return nil, err
	}
	if err := keys.openRecords(h); err != nil {
		return nil, err
	}
	if err := s.newDB(o); err != nil {
		return nil, err
	}
	if err := s.readBody(in, mac, o); err != nil {
		return nil, in.explain(err)
	}
	if err := s.readJournal(in, o); err != nil {
		return nil, in.explain(err)
	}
	return s, nil
}

// blocks reads block after block and knows where it is.
type blocks struct {
	r     *bufio.Reader
	from  io.ReadSeeker
	at    int64 // of what is read next
	start int64 // of the block that is being read
	where string
	head  [blockHead]byte // of the block that is being read
	fault error           // of the underlying reader, not of what it held
}

func newBlocks(r io.ReadSeeker) *blocks {
	return &blocks{r: bufio.NewReaderSize(r, chunkSize), from: r}
}

// seek goes on at another place of the file.
func (in *blocks) seek(at int64) error {
	if ahead := at - in.at; ahead >= 0 && ahead <= int64(in.r.Buffered()) {
		in.r.Discard(int(ahead))
	} else if _, err := in.from.Seek(at, io.SeekStart); err != nil {
		in.fault = err
		return err
	} else {
		in.r.Reset(in.from)
	}
	in.at = at
	return nil
}

// expect tells where the file comes from how much of it is read next, if it can make use of that.
func (in *blocks) expect(n int64) {
	if from, ok := in.from.(interface{ Expect(n int64) }); ok {
		from.Expect(n)
	}
}

func (in *blocks) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.at += int64(n)
	if err != nil && err != io.EOF {
		in.fault = err
	}
	return n, err
}

// next reads the head of a block. io.EOF means that there is none, and
// io.ErrUnexpectedEOF that it is cut short.
func (in *blocks) next() (kind byte, size int64, err error) {
	in.start = in.at
	head := &in.head
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, 0, err
	}
	d := decoder{r: bytes.NewReader(head[1:])}
	n, sum := d.u64(), d.u32()
	if n > 1<<62 || sum != crc32.Checksum(head[:blockHead-4], castagnoli) {
		return 0, 0, errMalformed
	}
	return head[0], int64(n), nil
}

// explain turns what a decoder says into where it was said.
func (in *blocks) explain(err error) error {
	if in.fault != nil {
		return in.fault
	}
	if errors.Is(err, errMalformed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &DamagedError{Where: in.where, Offset: in.start}
	}
	return err
}

// readBody reads the index, which says what the sections are, and those that are wanted.
func (s *State) readBody(in *blocks, mac []byte, o Options) error {
	found, size, err := in.walk()
	if err != nil {
		return err
	}
	in.where = "index"
	if err := s.readIndex(in, size, mac, found); err != nil {
		return err
	}
	o.tagged(s.DB.Sequence(), s.Journal.first)
	for i := range found {
		sec := &found[i]
		if o.Only != nil && !o.Only[sec.id] {
			s.DB.SetAway(sec.id, sec.name)
			continue
		}
		if err := readSection(in, s.Keys, s.DB, sec); err != nil {
			return err
		}
	}
	return in.seek(s.Base)
}

// walk goes from the head of one section to that of the next, and to the index
// behind them.
func (in *blocks) walk() (found []section, index int64, err error) {
	in.where = "client section"
	for {
		was := in.start
		kind, size, err := in.next()
		switch {
		case err == io.EOF && len(found) > 0:
			in.start = was // that section is cut short, or nothing is behind it
			return nil, 0, err
		case err != nil:
			return nil, 0, err
		case kind == blockIndex:
			return found, size, nil
		case kind != blockClient || size < saltSize || size > 1<<62-in.at:
			return nil, 0, errMalformed
		}
		found = append(found, section{size: size - saltSize, at: in.start})
		if err := in.seek(in.at + size); err != nil {
			return nil, 0, err
		}
	}
}

// readSection reads a client's section into db.
func readSection(in *blocks, k *Keys, db *vault.DB, sec *section) error {
	in.where, in.start = "client section", sec.at
	if err := in.seek(sec.at + blockHead); err != nil {
		return err
	}
	in.expect(sec.body())
	d := decoder{r: in}
	if salt := d.fill(make([]byte, saltSize)); d.err != nil || !bytes.Equal(salt, sec.salt[:]) {
		return cmp.Or(d.err, errMalformed)
	}
	key, err := k.derive("client", sec.salt[:], nil)
	if err != nil {
		return err
	}
	defer key.Destroy()
	id, name, err := loadClient(newStreamReader(in, sec.size, key, nil), db)
	if err == nil && (id != sec.id || !bytes.Equal(name, sec.name)) {
		err = errMalformed
	}
	return err
}

// loadClient reads the plaintext of a section into db.
func loadClient(r io.Reader, db *vault.DB) (id vault.ID, name []byte, err error) {
	d := &decoder{r: bufio.NewReaderSize(r, 4<<10)}
	c := vault.ClientView{ID: d.id(), Name: d.name()}
	if d.err == nil {
		db.LoadClient(c)
	}
	var vaults, records, keys inOrder
	rec, room := new(vault.Record), []byte(nil)
	for i, n := uint32(0), d.u32(); i < n && d.err == nil; i++ {
		v := vault.VaultView{ID: d.id(), Name: d.name(), Next: d.u64(), Keep: d.u64()}
		n := d.u64()
		if d.err != nil || !vaults.next(v.ID[:]) {
			d.fail()
			break
		}
		add := db.Load(c, v)
		records.begin()
		for j := uint64(0); j < n && d.err == nil; j++ {
			d.recordInto(rec, &room) // add takes a copy
			if !records.next(rec.ID[:]) || !belongs(rec, &v) {
				d.fail()
			}
			if d.err == nil {
				add(rec)
			}
		}
	}
	for i, n := uint32(0), d.u32(); i < n && d.err == nil; i++ {
		it := d.item(false)
		if !keys.next(it.Key) {
			d.fail()
		}
		if d.err == nil {
			db.LoadItem(c, it)
		}
	}
	return c.ID, c.Name, d.end()
}

// inOrder sees to it that each of what stands in a section is above the one before it.
type inOrder struct {
	some bool
	last []byte
}

func (o *inOrder) begin() { o.some = false }

func (o *inOrder) next(b []byte) bool {
	ok := !o.some || bytes.Compare(o.last, b) < 0
	o.some, o.last = true, append(o.last[:0], b...)
	return ok
}

// belongs says whether a vault may hold a record.
func belongs(r *vault.Record, v *vault.VaultView) bool {
	return !r.Counter || r.Number < v.Next && r.Number >= v.Floor()
}

// readIndex completes what walk has found with what the index says of it.
func (s *State) readIndex(in *blocks, size int64, mac []byte, found []section) error {
	key, err := s.Keys.derive("index", s.Header.FileID[:], nil)
	if err != nil {
		return err
	}
	defer key.Destroy()
	stream := newStreamReader(in, size, key, mac)
	d := &decoder{r: bufio.NewReader(stream)}
	s.DB.Resume(d.u64())
	if int64(d.u32()) != int64(len(found)) {
		d.fail()
	}
	sections := make(map[vault.ID]section, len(found))
	for i := range found {
		sec := &found[i]
		sec.id, sec.name = d.id(), d.name()
		d.fill(sec.salt[:])
		if int64(d.u64()) != sec.size || i > 0 && bytes.Compare(found[i-1].id[:], sec.id[:]) >= 0 {
			d.fail()
		}
		if d.err != nil {
			break
		}
		sections[sec.id] = *sec
	}
	if err := d.end(); err != nil {
		return err
	}
	s.Base, s.Length = in.at, in.at
	s.Journal = newJournal(s.Keys, s.Header.FileID, s.Base, stream.tag, sections)
	return nil
}

// readJournal replays what is wanted of the journal. Of other clients it is only
// learned whether they are there.
func (s *State) readJournal(in *blocks, o Options) (err error) {
	r := replayer{keys: s.Keys, file: s.Header.FileID, last: s.Journal.first, end: s.Base}
	defer r.close()
	r.each = func(e *entry) error {
		c := &vault.Change{Sequence: e.sequence}
		o.tagged(e.sequence, r.last)
		for i := range e.parts {
			p := &e.parts[i]
			s.Journal.touched[p.client] = true
			switch {
			case o.Only == nil || o.Only[p.client]:
				edits, err := r.edits(e, i)
				if err != nil {
					return err
				}
				c.Edits = append(c.Edits, edits...)
			case p.gone:
				s.DB.DropAway(p.client)
			default:
				s.DB.SetAway(p.client, p.name)
			}
		}
		if err := s.DB.Apply(c); err != nil {
			return errMalformed
		}
		return nil
	}
	s.Recovered, err = r.read(in)
	s.Journal.last = r.last
	s.Last, s.Length = r.batch, r.end
	return err
}

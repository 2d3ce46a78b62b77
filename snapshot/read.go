package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

// Options of [Read].
type Options struct {
	Arena  *memory.Arena
	Device [8]byte // written into changes from now on
}

// State is an opened snapshot.
type State struct {
	DB        *vault.DB
	Keys      *Keys
	Header    *Header
	Journal   *Journal
	Base      int64 // bytes of the file before its journal
	Last      int64 // where the journal's last batch begins; 0: it has none
	Length    int64 // bytes of the file that were read; what follows them was cut short
	Recovered bool  // the file ended within an entry: the state is the one before it
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
func Create(arena *memory.Arena, secret []byte, cost int) (*State, error) {
	k, err := NewKeys(arena)
	if err != nil {
		return nil, err
	}
	s := &State{Keys: k}
	slot, err := NewSlot(secret, cost)
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

// Read opens the snapshot that r holds. unlock finds its keys, which become the
// state's. Errors are [ErrNotASnapshot], [*VersionError], [*DamagedError], those of
// unlock, what the arena lacks, and what r returns.
func Read(r io.Reader, unlock func(*Header) (*Keys, error), o Options) (_ *State, err error) {
	in := &blocks{r: bufio.NewReaderSize(r, chunkSize)}
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
	if err := s.readBody(in, mac); err != nil {
		return nil, in.explain(err)
	}
	if err := s.readJournal(in); err != nil {
		return nil, in.explain(err)
	}
	return s, nil
}

// blocks reads block after block and knows where it is.
type blocks struct {
	r     *bufio.Reader
	at    int64 // of what is read next
	start int64 // of the block that is being read
	where string
	head  [blockHead]byte // of the block that is being read
	fault error           // of the underlying reader, not of what it held
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

// section is what the index says of a client's block.
type section struct {
	id   vault.ID
	salt [saltSize]byte
	size int64
}

// readBody reads the clients' blocks and the index, which says that they are
// all of them.
func (s *State) readBody(in *blocks, mac []byte) error {
	var have []section
	for {
		in.where = "client section"
		kind, size, err := in.next()
		if err != nil {
			return err
		}
		switch kind {
		case blockClient:
			sec, err := s.readClient(in, size)
			if err != nil {
				return err
			}
			have = append(have, sec)
		case blockIndex:
			in.where = "index"
			return s.readIndex(in, size, mac, have)
		default:
			return errMalformed
		}
	}
}

// readClient reads a client's block: whose it is stands only inside.
func (s *State) readClient(in *blocks, size int64) (sec section, err error) {
	d := decoder{r: in}
	d.fill(sec.salt[:])
	if sec.size = size - saltSize; sec.size < 0 || d.err != nil {
		return sec, errMalformed
	}
	key, err := s.Keys.derive("client", sec.salt[:], nil)
	if err != nil {
		return sec, err
	}
	defer key.Destroy()
	sec.id, err = s.loadClient(newStreamReader(in, sec.size, key, nil))
	return sec, err
}

func (s *State) loadClient(r io.Reader) (vault.ID, error) {
	d := &decoder{r: bufio.NewReaderSize(r, 4<<10)}
	c := vault.ClientView{ID: d.id(), Name: d.name()}
	if d.err == nil {
		s.DB.LoadClient(c)
	}
	var lastVault vault.ID
	rec, room := new(vault.Record), []byte(nil)
	for i, n := uint32(0), d.u32(); i < n && d.err == nil; i++ {
		v := vault.VaultView{ID: d.id(), Name: d.name(), Next: d.u64(), Keep: d.u64()}
		records := d.u64()
		if d.err != nil || i > 0 && bytes.Compare(lastVault[:], v.ID[:]) >= 0 {
			d.fail()
			break
		}
		lastVault = v.ID
		add := s.DB.Load(c, v)
		var last vault.ID
		for j := uint64(0); j < records && d.err == nil; j++ {
			d.recordInto(rec, &room) // add takes a copy
			if j > 0 && bytes.Compare(last[:], rec.ID[:]) >= 0 || rec.Counter && (rec.Number >= v.Next || rec.Number < v.Floor()) {
				d.fail()
			}
			last = rec.ID
			if d.err == nil {
				add(rec)
			}
		}
	}
	var last []byte
	for i, n := uint32(0), d.u32(); i < n && d.err == nil; i++ {
		it := d.item(false)
		if i > 0 && bytes.Compare(last, it.Key) >= 0 {
			d.fail()
		}
		last = it.Key
		if d.err == nil {
			s.DB.LoadItem(c, it)
		}
	}
	return c.ID, d.end()
}

func (s *State) readIndex(in *blocks, size int64, mac []byte, have []section) error {
	key, err := s.Keys.derive("index", s.Header.FileID[:], nil)
	if err != nil {
		return err
	}
	defer key.Destroy()
	stream := newStreamReader(in, size, key, mac)
	d := &decoder{r: bufio.NewReader(stream)}
	s.DB.Resume(d.u64())
	if int64(d.u32()) != int64(len(have)) {
		d.fail()
	}
	for i, sec := range have {
		var said section
		said.id = d.id()
		d.fill(said.salt[:])
		said.size = int64(d.u64())
		if said != sec || i > 0 && bytes.Compare(have[i-1].id[:], sec.id[:]) >= 0 {
			d.fail()
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	s.Base, s.Length = in.at, in.at
	s.Journal = &Journal{keys: s.Keys, file: s.Header.FileID, last: stream.tag}
	return nil
}

// readJournal replays the batches behind the index. A file that ends within a
// batch was being written: what came before it counts.
func (s *State) readJournal(in *blocks) error {
	in.where = "journal"
	r := replayer{s: s}
	defer r.close()
	for {
		kind, size, err := in.next()
		switch {
		case err == io.EOF:
			return nil
		case err == io.ErrUnexpectedEOF && in.fault == nil:
			s.Recovered = true
			return nil
		case err == errMalformed:
			s.Recovered, err = in.tornHead()
			return err
		case err != nil:
			return err
		case kind != blockBatch:
			return errMalformed
		}
		start := in.start
		body, err := in.body(size)
		if err == io.ErrUnexpectedEOF && in.fault == nil {
			s.Recovered = true
			return nil
		}
		if err != nil {
			return err
		}
		if !intact(body) {
			s.Recovered = in.isEnd() && torn(start, append(in.head[:], body...))
			if s.Recovered {
				return nil
			}
			return errMalformed
		}
		if err := r.batch(in, body[sumSize:]); err != nil {
			return err
		}
		s.Last, s.Length = start, in.at
	}
}

// replayer applies the batches of a journal.
type replayer struct {
	s   *State
	key *memory.Secret // of the session
	n   uint64         // of the next entry in it
}

func (r *replayer) close() {
	if r.key != nil {
		r.key.Destroy()
		r.key = nil
	}
}

// batch applies what the body of a batch holds. in has just read it.
func (r *replayer) batch(in *blocks, b []byte) error {
	end, entries := in.at, 0
	begun := false // a session has begun and has no entry yet
	for inside := (&blocks{r: bufio.NewReader(bytes.NewReader(b))}); ; {
		in.start = end - int64(len(b)) + inside.at
		kind, size, err := inside.next()
		if err == io.EOF && !begun && entries > 0 {
			return nil
		}
		if err != nil || size > int64(len(b))-inside.at {
			return errMalformed
		}
		body := b[inside.at : inside.at+size]
		inside.r.Discard(int(size))
		inside.at += size
		switch {
		case kind == blockSession && size == saltSize && !begun:
			r.close()
			if r.key, err = r.s.Journal.session(body); err != nil {
				return err
			}
			r.n, begun = 0, true
		case kind == blockEntry && r.key != nil:
			if err := r.s.replay(r.key, r.n, body); err != nil {
				return err
			}
			r.n++
			begun = false
			entries++
		default:
			return errMalformed
		}
	}
}

// body reads a block of the journal. It allocates as bytes come in, not as the
// length promises.
func (in *blocks) body(size int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.CopyN(&b, in, size)
	if err == io.EOF && n < size {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

func (s *State) replay(key *memory.Secret, n uint64, sealed []byte) error {
	if len(sealed) < tagSize {
		return errMalformed
	}
	tag := [tagSize]byte(sealed[len(sealed)-tagSize:])
	nonce := entryNonce(n)
	var plain []byte
	var err error
	memory.Erase(func() {
		err = key.Use(func(key []byte) error {
			var err error
			plain, err = primitive.ChaChaOpen(sealed[:0], (*[32]byte)(key), &nonce, sealed, s.Journal.last[:])
			return err
		})
	})
	if err != nil {
		return errMalformed
	}
	d := decoder{r: bytes.NewReader(plain)}
	c, err := d.change()
	if err != nil {
		return errMalformed
	}
	if err := s.DB.Apply(c); err != nil {
		return errMalformed
	}
	s.Journal.last = tag
	return nil
}

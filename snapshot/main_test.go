package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/vault"
)

const passphrase = "correct horse battery staple"

func newArena(t testing.TB) *memory.Arena {
	t.Helper()
	arena, err := memory.NewArena(512 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(arena.Destroy)
	return arena
}

// newKeys makes keys and a header whose slot opens with the passphrase after next
// to no hashing. NewSlot refuses to make one: only tests want it.
func newKeys(t testing.TB) (*Keys, *Header) {
	t.Helper()
	k, err := NewKeys(newArena(t))
	if err != nil {
		t.Fatal(err)
	}
	return k, k.header(t, passphrase)
}

// header has a slot for each secret, at a cost of 1.
func (k *Keys) header(t testing.TB, secrets ...string) *Header {
	t.Helper()
	h := new(Header)
	for _, secret := range secrets {
		s, err := newSlot([]byte(secret), 1, 0)
		if err == nil {
			h, _, err = h.With(s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h, err := k.Wrap(h)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newDB(t testing.TB, k *Keys) *vault.DB {
	t.Helper()
	records, err := k.Records()
	if err != nil {
		t.Fatal(err)
	}
	return vault.New(k.arena, records, [8]byte{'d', 'e', 'v'})
}

// keep has a vault, named client/vault, keep its last n versions.
func keep(t testing.TB, db *vault.DB, path string, n uint64) *vault.Change {
	t.Helper()
	client, name, _ := strings.Cut(path, "/")
	c, err := db.Stage(func(tx *vault.Tx) error { return tx.Keep(vault.In([]byte(client), []byte(name)), n) })
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(c.Sequence); err != nil {
		t.Fatal(err)
	}
	return c
}

// set changes one record, named client/vault/record, and returns the change. An
// empty secret revokes it.
func set(t testing.TB, db *vault.DB, path, secret string) *vault.Change {
	t.Helper()
	s := strings.Split(path, "/")
	p := vault.At([]byte(s[0]), []byte(s[1]), []byte(s[2]))
	if s[2] == "@head" {
		p.Counter, p.Head, p.RecordName = true, true, nil
	}
	c, err := db.Stage(func(tx *vault.Tx) error {
		if secret == "" {
			return tx.Revoke(p)
		}
		_, err := tx.Put(p, vault.Value{Kind: vault.Data, Hint: []byte("a hint"), Secret: []byte(secret)}, true)
		return err
	})
	if err == nil {
		err = db.Commit(c.Sequence)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setItem changes one item of a client's store.
func setItem(t testing.TB, db *vault.DB, client, key, value string) *vault.Change {
	t.Helper()
	c, err := db.Stage(func(tx *vault.Tx) error {
		p := vault.In([]byte(client), nil)
		if value == "" {
			return tx.RemoveItem(p, []byte(key))
		}
		return tx.PutItem(p, []byte(key), []byte(value), 1<<50)
	})
	if err == nil {
		err = db.Commit(c.Sequence)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dump is a DB's state as text, one line for each thing in it.
func dump(t testing.TB, db *vault.DB) string {
	t.Helper()
	var lines []string
	view := db.Freeze()
	for _, c := range view.Clients {
		for _, v := range c.Vaults {
			for r := range v.Records {
				secret := "revoked"
				if !r.Revoked {
					err := db.Lend(vault.Place{Client: c.ID, Vault: v.ID, Record: r.ID}, func(_ *vault.Record, b []byte) error {
						secret = fmt.Sprintf("%q", b)
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				sealed := r.Sealed
				lines = append(lines, fmt.Sprintf("%x %x %d %x %d %d %v %q %v %v %x: %s",
					c.ID, v.ID, v.Next, r.ID, r.Kind, r.Flags, r.Number, r.Hint, r.Created, r.Changed, sealed, secret))
			}
			lines = append(lines, fmt.Sprintf("%x %x: %x %x", c.ID, v.ID, c.Name, v.Name))
		}
		_, items := c.Items()
		for it := range items {
			lines = append(lines, fmt.Sprintf("%x %q %q %d %v", c.ID, it.Key, it.Value, it.Expires, it.Changed))
		}
	}
	return fmt.Sprintf("%d\n%s", view.Sequence, strings.Join(lines, "\n"))
}

// write is Write into memory.
func write(t testing.TB, k *Keys, h *Header, db *vault.DB) ([]byte, *Journal) {
	t.Helper()
	var out bytes.Buffer
	j, err := Write(&out, k, h, db.Freeze(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return out.Bytes(), j
}

// with finds the keys of a file by a passphrase.
func with(arena *memory.Arena, passphrase string) func(*Header) (*Keys, error) {
	return func(h *Header) (*Keys, error) {
		root, err := h.Open([]byte(passphrase), MaxCost)
		if err != nil {
			return nil, err
		}
		return KeysOf(arena, root)
	}
}

// open is Read with the passphrase. It checks that a failure left nothing in the arena.
func open(t testing.TB, arena *memory.Arena, file []byte) (*State, error) {
	t.Helper()
	return openWith(t, arena, file, passphrase)
}

func openWith(t testing.TB, arena *memory.Arena, file []byte, secret string) (*State, error) {
	t.Helper()
	s, err := Read(bytes.NewReader(file), with(arena, secret), Options{Arena: arena})
	if err != nil {
		if s != nil {
			t.Fatal("a state and an error")
		}
		isEmpty(t, arena)
	}
	return s, err
}

// isEmpty fails unless all of the arena can be had.
func isEmpty(t testing.TB, arena *memory.Arena) {
	t.Helper()
	all, err := arena.New(arena.Size())
	if err != nil {
		t.Fatal("something was left in the arena")
	}
	all.Destroy()
}

func mustOpen(t testing.TB, arena *memory.Arena, file []byte) *State {
	t.Helper()
	s, err := open(t, arena, file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seal is what a writer appends for one change alone.
func seal(t testing.TB, j *Journal, c *vault.Change) []byte {
	t.Helper()
	return batch(sealed(t, j, c))
}

func sealed(t testing.TB, j *Journal, c *vault.Change) []byte {
	t.Helper()
	entries, err := j.Seal(c)
	if err != nil {
		t.Fatal(err)
	}
	return entries[0]
}

// batch is what the writer of a file puts around entries that it writes at once.
func batch(entries ...[]byte) []byte {
	all := append(slices.Concat(entries...), batchEnd)
	b := appendBlockHead(nil, blockBatch, int64(sumSize+len(all)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(all, castagnoli))
	return append(b, all...)
}

// fill makes a state of a few clients, vaults, versions, tombstones and items.
func fill(t testing.TB, db *vault.DB) {
	t.Helper()
	for _, path := range []string{"a/x/1", "a/x/2", "a/y/1", "b/x/1", "b/x/@head", "b/x/@head"} {
		set(t, db, path, "the secret of "+path)
	}
	set(t, db, "a/x/1", "")
	set(t, db, "a/x/2", "another secret")
	setItem(t, db, "a", "key", "value")
	setItem(t, db, "only a store", "key", "value")
	setItem(t, db, "only a store", "other", "value")
	setItem(t, db, "only a store", "other", "")
}

// block is a block of a file.
type block struct {
	kind byte
	all  []byte // with its head
	body []byte
}

// blocksOf takes a file apart behind its header. Of a batch it returns what is in it.
func blocksOf(t testing.TB, file []byte) (header []byte, list []block) {
	t.Helper()
	in := &blocks{r: bufio.NewReader(bytes.NewReader(file))}
	if _, _, err := ReadHeader(in); err != nil {
		t.Fatal(err)
	}
	return file[:in.at], split(t, file[in.at:])
}

func split(t testing.TB, b []byte) (list []block) {
	t.Helper()
	in := &blocks{r: bufio.NewReader(bytes.NewReader(b))}
	for {
		kind, size, err := in.next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := in.body(size)
		if err != nil {
			t.Fatal(err)
		}
		if kind == blockBatch {
			list = append(list, split(t, body[sumSize:len(body)-1])...)
			continue
		}
		list = append(list, block{kind, b[in.start:in.at], b[in.start+blockHead : in.at]})
	}
}

// join is blocksOf the other way round. Each entry is a batch, with the session that begins with it.
func join(header []byte, list []block) []byte {
	file := slices.Clone(header)
	var session []byte
	for _, b := range list {
		switch b.kind {
		case blockSession:
			session = append(session, b.all...)
		case blockEntry:
			file = append(file, batch(session, b.all)...)
			session = nil
		default:
			file = append(file, b.all...)
		}
	}
	if session != nil {
		file = append(file, batch(session)...)
	}
	return file
}

// isDamaged fails unless err says that the file is damaged, there.
func isDamaged(t testing.TB, err error, where string) {
	t.Helper()
	damaged := new(DamagedError)
	if !errors.As(err, &damaged) || damaged.Where != where {
		t.Errorf("got %v, want damaged: %s", err, where)
	}
}

func withLength(kind byte, n uint64) []byte {
	b := appendBlockHead(nil, kind, int64(n))
	if got := binary.BigEndian.Uint64(b[1:]); got != n {
		panic("snapshot: internal error: a test's length")
	}
	return b
}

// sealUnder seals under the session's key.
func (j *Journal) sealUnder(out []byte, nonce *[12]byte, plain, ad []byte) []byte {
	j.withKey(func(key *[32]byte) { out = primitive.ChaChaSeal(out, key, nonce, plain, ad) })
	return out
}

// sealPlain appends an entry with this plaintext, whatever that is.
func (j *Journal) sealPlain(out, plain []byte) []byte {
	j.withKey(func(key *[32]byte) { out = j.seal(key, out, plain) })
	return out
}

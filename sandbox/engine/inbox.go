package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// sealedError names the field of a request whose sealed value does not open.
type sealedError string

func (e sealedError) Error() string { return "engine: sealed value does not open: " + string(e) }

// crowdedError says that an asker has brought as many sealed values as there is room
// for now.
type crowdedError struct{ wait time.Duration }

func (e *crowdedError) Error() string {
	return fmt.Sprintf("more was sealed for the zone than it can keep apart; room comes within %v", e.wait.Round(time.Millisecond))
}

// unseal opens the secret that req brings. The caller wipes it.
func (e *Engine) unseal(req *protocol.Request) ([]byte, error) {
	return e.unsealField(req, "secret", req.Secret)
}

// unsealField opens a sealed field of req, once: a sealed value that comes again
// was copied by somebody on its way.
func (e *Engine) unsealField(req *protocol.Request, field string, sealed []byte) ([]byte, error) {
	return e.inbox.take(req, field, sealed)
}

// open opens what was sealed to key for a field of req.
func open(key *protocol.SealKey, req *protocol.Request, field string, sealed []byte) (plaintext []byte, err error) {
	memory.Erase(func() { plaintext, err = protocol.Open(key, req, field, protocol.ToZone, sealed) })
	if err != nil {
		return nil, sealedError(field)
	}
	return plaintext, nil
}

// inbox has the key that secrets are sealed to, and remembers what was, since it takes
// each but once. When it remembers much it makes another key, and forgets the one
// before after a while with all that was sealed to it: that opens no more. Until then
// no third key is made, so a key that somebody was told is good for that while at
// least, whatever others send.
type inbox struct {
	room  int           // sealed values that are remembered of one key
	while time.Duration // that a key is good for once there is another

	mu          sync.Mutex
	now, before *generation // before is nil, or still good
}

const (
	inboxRoom  = 1 << 19 // 8 MiB, and as much again for the map; twice, for the key before
	inboxWhile = 15 * time.Second
)

// A generation is a key, and what was sealed to it and has come.
type generation struct {
	key    *protocol.SealKey
	until  time.Time             // when it is forgotten, if it is the one before
	seen   map[[16]byte]struct{} // by the beginnings of their encapsulated keys, which are random
	by     map[uint64]int        // of each peer
	guests int                   // of all of them
}

func newInbox() (*inbox, error) {
	b := &inbox{room: inboxRoom, while: inboxWhile}
	return b, b.renew()
}

// renew makes another key. b.mu is held, or b is not shared yet.
func (b *inbox) renew() error {
	key, err := protocol.NewSealKey()
	if err != nil {
		return err
	}
	if b.before = b.now; b.before != nil {
		b.before.until = time.Now().Add(b.while)
		time.AfterFunc(b.while, b.forget)
	}
	b.now = &generation{key: key, seen: map[[16]byte]struct{}{}, by: map[uint64]int{}}
	return nil
}

// forget forgets the key before, and the present one next if there is much of it.
func (b *inbox) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = nil
	b.renewIfMany()
}

// renewIfMany makes another key if much was sealed to this one. If that fails this one
// goes on. b.mu is held.
func (b *inbox) renewIfMany() {
	if b.before == nil && len(b.now.seen) >= b.room/8 {
		b.renew()
	}
}

func (b *inbox) public() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now.key.Public()
}

// take opens a sealed field of req, if it has not come before.
func (b *inbox) take(req *protocol.Request, field string, sealed []byte) ([]byte, error) {
	b.mu.Lock()
	now, before := b.now, b.before
	b.mu.Unlock()
	g := now
	plaintext, err := open(g.key, req, field, sealed)
	if err != nil && before != nil {
		g = before
		plaintext, err = open(g.key, req, field, sealed)
	}
	if err != nil { // and not remembered: garbage is not to use up the room for what was seen
		return nil, err
	}
	if err := b.remember(g, req.Asker, [16]byte(sealed), field); err != nil {
		memory.Wipe(plaintext)
		return nil, err
	}
	return plaintext, nil
}

// remember says why a sealed value is not taken, if it is not.
func (b *inbox) remember(g *generation, asker uint64, sealed [16]byte, field string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g != b.now && g != b.before { // it was forgotten meanwhile
		return sealedError(field)
	}
	if _, again := g.seen[sealed]; again {
		return sealedError(field)
	}
	if !b.admits(g, asker) {
		return &crowdedError{b.wait()}
	}
	g.seen[sealed] = struct{}{}
	if asker != 0 {
		g.by[asker]++
		g.guests++
	}
	b.renewIfMany()
	return nil
}

// admits says whether there is room for one more of an asker. A quarter is kept for the
// local user, and of the rest each peer leaves free as much as he takes: whoever comes
// next finds room. b.mu is held.
func (b *inbox) admits(g *generation, asker uint64) bool {
	if asker == 0 {
		return len(g.seen) < b.room
	}
	return g.by[asker] < b.room-b.room/4-g.guests
}

// wait is how long it takes until there is another key. b.mu is held.
func (b *inbox) wait() time.Duration {
	if b.before == nil {
		return b.while
	}
	return max(time.Millisecond, time.Until(b.before.until))
}

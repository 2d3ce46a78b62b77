package node

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/stronghold-go/stronghold/protocol"
)

// cursors seals the cursors that peers are given, under a key that lives as long as the
// node. A page may end at what is hidden from the peer, so that he must not read where; and what he
// makes up, or was given for something else, must not tell what comes behind a place of his choice.
type cursors struct{ aead cipher.AEAD }

// cursorRoom is how long they are inside, whatever they say: three ids, or a store's key, and
// its length.
const cursorRoom = 2 + protocol.MaxSegment

func newCursors() cursors {
	key := make([]byte, chacha20poly1305.KeySize)
	rand.Read(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("node: internal error: " + err.Error())
	}
	return cursors{aead}
}

// about is what a cursor is good for: this peer's listing of this. How many entries a page has he may
// say anew each time.
func about(id string, req *protocol.Request) ([]byte, error) {
	b, err := protocol.Marshal(&protocol.Request{Operation: req.Operation, Location: req.Location, Hint: req.Hint, Prefix: req.Prefix, Session: req.Session})
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(id))), append([]byte(id), b...)...), err
}

// seal is what the peer gets of where a page ends; nothing of what was the last one.
func (c cursors) seal(id string, req *protocol.Request, next []byte) ([]byte, error) {
	if len(next) == 0 {
		return nil, nil
	}
	is, err := about(id, req)
	if err != nil {
		return nil, err
	}
	in := binary.BigEndian.AppendUint16(make([]byte, 0, cursorRoom), uint16(len(next)))
	in = append(in, next...)
	nonce := make([]byte, c.aead.NonceSize(), c.aead.NonceSize()+cursorRoom+c.aead.Overhead())
	rand.Read(nonce)
	return c.aead.Seal(nonce, nonce, in[:cursorRoom], is), nil
}

// open is where a page begins. It reports false for what was not sealed for this.
func (c cursors) open(id string, req *protocol.Request) (after []byte, ok bool) {
	if len(req.After) == 0 {
		return nil, true
	}
	is, err := about(id, req)
	if err != nil || len(req.After) < c.aead.NonceSize() {
		return nil, false
	}
	nonce, sealed := req.After[:c.aead.NonceSize()], req.After[c.aead.NonceSize():]
	in, err := c.aead.Open(nil, nonce, sealed, is)
	if err != nil {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(in))
	return in[2 : 2+n], true
}

package protocol

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Direction says which way a sealed value goes.
type Direction string

const (
	ToZone  Direction = "to zone"  // a secret that someone brings
	ToAsker Direction = "to asker" // a secret that an answer holds
)

// SealOverhead is how many bytes sealing adds: an X25519 key and a tag.
const SealOverhead = 32 + 16

// ErrSealed is what every value that does not open gives: damaged, meant for
// another key, or moved from another request.
var ErrSealed = errors.New("protocol: sealed value does not open")

// The suite of RFC 9180: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, base mode.
func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305()
}

// Seal encrypts plaintext to the X25519 public key (32 bytes), bound to one
// field of one request: it opens nowhere else. The result is the encapsulated
// key (32 bytes) and the ciphertext.
func Seal(public []byte, req *Request, field string, dir Direction, plaintext []byte) ([]byte, error) {
	kem, kdf, aead := suite()
	pk, err := kem.NewPublicKey(public)
	if err != nil {
		return nil, errors.New("protocol: not an X25519 public key")
	}
	return hpke.Seal(pk, kdf, aead, sealInfo(req, field, dir), plaintext)
}

// Open decrypts what [Seal] made for the same field of the same request.
func Open(key *SealKey, req *Request, field string, dir Direction, sealed []byte) ([]byte, error) {
	_, kdf, aead := suite()
	plaintext, err := hpke.Open(key.private, kdf, aead, sealInfo(req, field, dir), sealed)
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// SealProof seals a proof for req, as [Seal] does. The caller wipes what is in it.
func SealProof(public []byte, req *Request, p *Proof) ([]byte, error) {
	plain, err := Marshal(p)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return Seal(public, req, "secret", ToZone, plain)
}

// SealKey is a key that values are sealed to. It lives in memory only.
type SealKey struct {
	_       [0]func() // not to be compared
	private hpke.PrivateKey
}

// NewSealKey makes a key.
func NewSealKey() (*SealKey, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := hpke.NewDHKEMPrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &SealKey{private: key}, nil
}

// Public is the public half, 32 bytes.
func (k *SealKey) Public() []byte { return k.private.PublicKey().Bytes() }

// Format hides the key from every verb.
func (SealKey) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// sealInfo is the HPKE info: every part with its length before it, so that no
// two requests share one. PROTOCOL.md has it byte by byte.
func sealInfo(req *Request, field string, dir Direction) []byte {
	var b []byte
	part := func(p []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	part([]byte(ID))
	part([]byte(dir))
	part([]byte(req.Operation))
	part([]byte(field))
	for _, loc := range []*Location{req.Location, req.Target} {
		part(locationInfo(loc))
	}
	part(req.Id)
	return b
}

// locationInfo is one byte for each segment that is there, then the segment.
func locationInfo(l *Location) []byte {
	if l == nil {
		return nil
	}
	b := []byte{0}
	add := func(tag byte, p []byte) {
		if p == nil {
			return
		}
		b = append(b, tag)
		b = binary.BigEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	add(1, l.Client)
	add(2, l.Vault)
	add(3, l.Record)
	if l.Version != nil {
		add(4, binary.BigEndian.AppendUint64(nil, *l.Version))
	}
	if l.Head {
		add(5, []byte{})
	}
	// An id that is there but empty does not survive the wire: it is absent.
	for i, id := range [][]byte{l.ClientId, l.VaultId, l.RecordId} {
		if len(id) > 0 {
			add(byte(6+i), id)
		}
	}
	return b
}

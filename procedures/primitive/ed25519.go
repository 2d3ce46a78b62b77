package primitive

import "filippo.io/edwards25519"

// Ed25519KeySize is the length of an [Ed25519Key] in bytes.
const Ed25519KeySize = 96

// An Ed25519Key is an expanded Ed25519 private key (RFC 8032, section 5.1.5), ready
// to sign: the secret scalar, reduced, little-endian (32 bytes) ‖ the prefix of the
// nonce (32) ‖ the public key (32). It is made by [Ed25519Key.Expand] only, from a
// seed, so that its public key is always that of its scalar: who gets signatures
// of one message under two public keys computes the scalar from them. It may be
// kept, and sealed, in place of the seed, but never be taken from outside.
//
// k := (*Ed25519Key)(area[:Ed25519KeySize]) lays one over guarded memory. The zero
// value is not a key.
type Ed25519Key [Ed25519KeySize]byte

func (k *Ed25519Key) scalar() []byte { return k[:32] }
func (k *Ed25519Key) prefix() []byte { return k[32:64] }
func (k *Ed25519Key) public() []byte { return k[64:] }

// Expand sets k to the expanded form of seed, the 32 bytes that RFC 8032 calls the
// private key. It costs about as much as a signature.
func (k *Ed25519Key) Expand(seed *[32]byte) {
	var s edwards25519.Scalar
	k.hash(&s, seed)
	var p extended
	p.setBaseMult(&s)
	p.encode((*[32]byte)(k.public()))
}

// Restore is Expand where the public key was kept beside the seed: it costs a
// hash. public must come from Expand or [Ed25519Public] with this very seed and
// have been kept where nobody could change it, since a signature under another
// public key gives the scalar away.
func (k *Ed25519Key) Restore(seed, public *[32]byte) {
	var s edwards25519.Scalar
	k.hash(&s, seed)
	copy(k.public(), public[:])
}

// hash sets the scalar, which it also leaves in s, and the prefix.
func (k *Ed25519Key) hash(s *edwards25519.Scalar, seed *[32]byte) {
	var hash [64]byte
	SHA512.Sum(hash[:], seed[:])
	if _, err := s.SetBytesWithClamping(hash[:32]); err != nil {
		panic("primitive: internal error: " + err.Error())
	}
	copy(k.scalar(), s.Bytes())
	copy(k.prefix(), hash[32:])
}

// Public returns the public key, which is no secret.
func (k *Ed25519Key) Public() [32]byte {
	return [32]byte(k.public())
}

// Sign writes the signature of message to sig: R ‖ S, the same bytes as
// crypto/ed25519 makes (RFC 8032, section 5.1.6). sig may overlap neither k nor
// message.
func (k *Ed25519Key) Sign(sig *[64]byte, message []byte) {
	var s, r, c edwards25519.Scalar
	if _, err := s.SetCanonicalBytes(k.scalar()); err != nil {
		// Neither Expand nor a sealed record that opened can bring this about.
		panic("primitive: internal error: Ed25519 key is not an expanded one")
	}
	var digest [64]byte
	SHA512.Sum(digest[:], k.prefix(), message)
	setUniform(&r, &digest)
	var p extended
	p.setBaseMult(&r)
	p.encode((*[32]byte)(sig[:32]))

	SHA512.Sum(digest[:], sig[:32], k.public(), message)
	setUniform(&c, &digest)
	c.Multiply(&c, &s).Add(&c, &r)
	copy(sig[32:], c.Bytes())
}

func setUniform(s *edwards25519.Scalar, digest *[64]byte) {
	if _, err := s.SetUniformBytes(digest[:]); err != nil {
		panic("primitive: internal error: " + err.Error())
	}
}

// Ed25519Public writes the public key of seed to public.
func Ed25519Public(public, seed *[32]byte) {
	var k Ed25519Key
	k.Expand(seed)
	copy(public[:], k.public())
}

// Ed25519Sign writes the signature of message under seed to sig. It computes the
// public key each time and so costs twice what [Ed25519Key.Sign] does.
func Ed25519Sign(sig *[64]byte, seed *[32]byte, message []byte) {
	var k Ed25519Key
	k.Expand(seed)
	k.Sign(sig, message)
}

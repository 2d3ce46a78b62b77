package primitive

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"testing"

	"filippo.io/edwards25519"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/chacha20"
)

// workSize is the length of the memory that a work lies in.
const workSize = 8 << 10

// A work is the memory that the operations below take secrets from and put secrets
// into: inputs that all follow from one root, and room for results.
type work struct {
	root                  *[32]byte
	key                   *Ed25519Key
	extended              *ExtendedKey
	shared, subkey        *[32]byte
	derived               []byte
	seed                  *[64]byte
	entropy               []byte
	mnemonic, scratch     []byte
	record, opened        []byte
	message, public, seal []byte // no secrets
}

// newWork lays a work over area and puts the root there.
func newWork(area []byte, root [32]byte) *work {
	take := func(n int) []byte {
		b := area[:n:n]
		area = area[n:]
		return b
	}
	w := &work{
		root:     (*[32]byte)(take(32)),
		key:      (*Ed25519Key)(take(Ed25519KeySize)),
		extended: (*ExtendedKey)(take(ExtendedKeySize)),
		shared:   (*[32]byte)(take(32)),
		subkey:   (*[32]byte)(take(32)),
		derived:  take(100),
		seed:     (*[64]byte)(take(64)),
		entropy:  take(MaxEntropySize),
		mnemonic: take(MaxMnemonicSize),
		scratch:  take(3000),
		record:   take(100),
		opened:   take(200),
		message:  bytes.Repeat([]byte("message "), 40),
		public:   make([]byte, 65),
		seal:     make([]byte, 0, 200),
	}
	*w.root = root
	return w
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// operations is everything that the package does with a secret, as one caller does it.
var operations = []struct {
	name string
	run  func(w *work)
}{
	{"ed25519 expand", func(w *work) { w.key.Expand(w.root) }},
	{"ed25519 sign", func(w *work) { w.key.Expand(w.root); w.key.Sign((*[64]byte)(w.public), w.message) }},
	{"ed25519 sign from the seed", func(w *work) { Ed25519Sign((*[64]byte)(w.public), w.root, w.message) }},
	{"x25519 public", func(w *work) { X25519Public((*[32]byte)(w.public), w.root) }},
	{"x25519 shared", func(w *work) { check(X25519Shared(w.shared, w.root, &[32]byte{9})) }},
	{"sha256", func(w *work) { SHA256.Sum(w.derived, w.root[:]) }},
	{"sha384", func(w *work) { SHA384.Sum(w.derived, w.root[:]) }},
	{"sha512", func(w *work) { SHA512.Sum(w.derived, w.root[:]) }},
	{"hmac-sha256", func(w *work) { SHA256.HMAC(w.public, w.root[:], w.message) }},
	{"hmac-sha512", func(w *work) { SHA512.HMAC(w.public, w.root[:], w.message) }},
	{"hkdf", func(w *work) { check(SHA256.HKDF(w.derived, w.root[:], nil, w.message)) }},
	{"concat kdf", func(w *work) { check(SHA256.ConcatKDF(w.derived, w.root[:], w.message)) }},
	{"pbkdf2", func(w *work) { check(SHA512.PBKDF2(w.seed[:], w.root[:], w.message, 20)) }},
	{"slip10 ed25519", func(w *work) {
		w.extended.Master(Ed25519, w.root[:])
		check(w.extended.Derive(Ed25519, w.extended, []uint32{Hardened | 44, Hardened | 1}))
	}},
	{"slip10 secp256k1", func(w *work) {
		w.extended.Master(Secp256k1, w.root[:])
		check(w.extended.Derive(Secp256k1, w.extended, []uint32{Hardened | 44, 1}))
	}},
	{"secp256k1 public", func(w *work) { check(Secp256k1Public((*[33]byte)(w.public), w.root)) }},
	{"secp256k1 sign", func(w *work) { check(Secp256k1Sign((*[65]byte)(w.public), w.root, &[32]byte{5})) }},
	{"evm address", func(w *work) { check(EVMAddress((*[20]byte)(w.public), w.root)) }},
	{"chacha20poly1305", func(w *work) {
		sealed := ChaChaSeal(w.seal, w.root, &[12]byte{1}, w.record, w.message)
		_, err := ChaChaOpen(w.opened[:0], w.root, &[12]byte{1}, sealed, w.message)
		check(err)
	}},
	{"chacha20poly1305 composed", func(w *work) {
		sealed := chachaSealComposed(w.seal, w.root, &[12]byte{1}, w.record, w.message)
		_, err := chachaOpenComposed(w.opened[:0], w.root, &[12]byte{1}, sealed, w.message)
		check(err)
	}},
	{"xchacha20poly1305", func(w *work) {
		sealed := XChaChaSeal(w.seal, w.root, &[24]byte{1}, w.record, w.message)
		_, err := XChaChaOpen(w.opened[:0], w.root, &[24]byte{1}, sealed, w.message)
		check(err)
	}},
	{"aes-256-gcm", func(w *work) {
		sealed := AESGCMSeal(w.seal, w.root, &[12]byte{1}, w.record, w.message)
		_, err := AESGCMOpen(w.opened[:0], w.root, &[12]byte{1}, sealed, w.message)
		check(err)
	}},
	{"aes key wrap", func(w *work) {
		wrapped, err := AESKeyWrap(w.opened[:0], w.root, w.root[:])
		check(err)
		_, err = AESKeyUnwrap(w.derived[:0], w.root, wrapped)
		check(err)
	}},
	{"bip39 english", func(w *work) { w.bip39(English) }},
	{"bip39 japanese", func(w *work) { w.bip39(Japanese) }},
}

func (w *work) bip39(l Language) {
	text, err := l.Mnemonic(w.mnemonic[:0], w.root[:])
	check(err)
	_, err = l.Entropy(w.entropy[:0], text)
	check(err)
	check(MnemonicSeed(w.seed, text, w.root[:0], w.scratch))
}

// secretsOf returns what the operations above compute on their way from a root, as
// far as the libraries give it, by the standard library and by those.
func secretsOf(root [32]byte) [][]byte {
	message := bytes.Repeat([]byte("message "), 40)
	expanded := sha512.Sum512(root[:])
	var s, r edwards25519.Scalar
	s.SetBytesWithClamping(expanded[:32])
	nonce := sha512.Sum512(append(bytes.Clone(expanded[32:]), message...))
	r.SetUniformBytes(nonce[:])
	secrets := [][]byte{root[:], expanded[:], s.Bytes(), nonce[:], r.Bytes()}

	sum256, sum384 := sha256.Sum256(root[:]), sha512.Sum384(root[:])
	secrets = append(secrets, sum256[:], sum384[:])
	for _, pad := range []byte{0x36, 0x5c} { // the key as HMAC absorbs it
		block := bytes.Clone(root[:])
		for i := range block {
			block[i] ^= pad
		}
		secrets = append(secrets, block)
	}
	derived, err := hkdf.Key(sha256.New, root[:], nil, string(message), 100)
	check(err)
	prk, err := hkdf.Extract(sha256.New, root[:], nil)
	check(err)
	stretched, err := pbkdf2.Key(sha512.New, string(root[:]), message, 20, 64)
	check(err)
	hchacha, err := chacha20.HChaCha20(root[:], append([]byte{1}, make([]byte, 15)...))
	check(err)
	secrets = append(secrets, derived, prk, stretched, hchacha)

	for _, curve := range []Curve{Ed25519, Secp256k1} {
		path := []uint32{Hardened | 44, Hardened | 1}
		if curve == Secp256k1 {
			path[1] = 1
		}
		for n := range len(path) + 1 {
			secrets = append(secrets, slip10Plain(curve, root[:], path[:n]))
		}
	}
	k := secp256k1.NonceRFC6979(root[:], append([]byte{5}, make([]byte, 31)...), nil, nil, 0)
	kBytes := k.Bytes()
	secrets = append(secrets, kBytes[:])
	var shared [32]byte
	check(X25519Shared(&shared, &root, &[32]byte{9}))
	secrets = append(secrets, shared[:])
	for _, l := range languages {
		text, err := l.Mnemonic(make([]byte, 0, MaxMnemonicSize), root[:])
		check(err)
		seed, err := pbkdf2.Key(sha512.New, string(text), []byte("mnemonic"), 2048, 64)
		check(err)
		key := hmac.New(sha512.New, text)
		key.Write([]byte("mnemonic\x00\x00\x00\x01"))
		secrets = append(secrets, seed, key.Sum(nil))
		// Words are in the lists anyway: what counts is one after another.
		for i := 4; i+4 < len(text); i++ {
			if text[i] == ' ' {
				secrets = append(secrets, text[i-4:i+4])
			}
		}
	}
	return secrets
}

// Each operation gives the same to memory of the heap as elsewhere, and runs at all.
func TestOperationsRun(t *testing.T) {
	root := [32]byte{7, 7, 7}
	w := newWork(make([]byte, workSize), root)
	for _, op := range operations {
		op.run(w)
	}
	std := ed25519.NewKeyFromSeed(root[:])
	if public := w.key.Public(); !bytes.Equal(public[:], std[32:]) || *w.root != root {
		t.Error("the operations disturb each other's memory")
	}
}

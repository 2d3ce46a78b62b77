package rust

import (
	"crypto/ecdh"

	"golang.org/x/crypto/blake2b"
)

// openV1 opens header ‖ nonce ‖ tag ‖ ciphertext, sealed under the key itself.
//
// The format has associated data; the client of every release passed none, so neither is there any here.
func openV1(file, key []byte) ([]byte, error) {
	body := file[headerSize:]
	nonce, tag, ciphertext := body[:nonceSize], body[nonceSize:nonceSize+tagSize], body[nonceSize+tagSize:]
	plain, err := openDetached(key, nonce, nil, tag, ciphertext)
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}

// openV2 opens header ‖ ephemeral public key ‖ tag ‖ ciphertext. The key is an X25519 secret, and the file is sealed to
// its public key: under the bare shared secret, with a nonce from both public keys.
//
// X25519 clamps its secret: keys that differ only in the low three bits of the first byte or the high two of the last
// open the same file.
func openV2(file, key []byte) ([]byte, error) {
	body := file[headerSize:]
	epk, tag, ciphertext := body[:KeySize], body[KeySize:KeySize+tagSize], body[KeySize+tagSize:]

	secret, err := ecdh.X25519().NewPrivateKey(key)
	if err != nil {
		panic("rust: internal error: key of the wrong size")
	}
	public := secret.PublicKey().Bytes()
	peer, err := ecdh.X25519().NewPublicKey(epk)
	if err != nil {
		panic("rust: internal error: public key of the wrong size")
	}
	shared, err := secret.ECDH(peer)
	if err != nil { // a point of low order, which no honest writer picks
		return nil, &DamagedError{Stage: StageContainer, Offset: headerSize, Reason: "invalid ephemeral key"}
	}
	defer clear(shared)
	plain, err := openDetached(shared, nonceV2(epk, public), nil, tag, ciphertext)
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}

func nonceV2(epk, public []byte) []byte {
	sum := blake2b.Sum256(append(append(make([]byte, 0, 2*KeySize), epk...), public...))
	return sum[:nonceSize]
}

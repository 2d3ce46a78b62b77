package snapshot

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"filippo.io/age"
	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// wrap writes an age file (age-encryption.org/v1, C2SP age.md) for one recipient
// whose payload is the root key. Package age would keep a copy of the payload on
// the heap, so all but the recipient's stanza is done here, in guarded memory.
func (k *Keys) wrap(r age.Recipient) (file []byte, err error) {
	scratch, err := k.arena.New(fileKeySize + 2*keySize)
	if err != nil {
		return nil, err
	}
	defer scratch.Destroy()
	memory.Erase(func() {
		err = scratch.Use(func(b []byte) error {
			fileKey, macKey, payloadKey := b[:fileKeySize], b[fileKeySize:][:keySize], (*[keySize]byte)(b[fileKeySize+keySize:])
			rand.Read(fileKey)
			stanzas, err := r.Wrap(fileKey)
			if err != nil {
				return err
			}
			file = append(file, "age-encryption.org/v1\n"...)
			for _, s := range stanzas {
				file = appendStanza(file, s)
			}
			file = append(file, "---"...)
			if err := primitive.SHA256.HKDF(macKey, fileKey, nil, []byte("header")); err != nil {
				return err
			}
			var mac [macSize]byte
			primitive.SHA256.HMAC(mac[:], macKey, file)
			file = base64.RawStdEncoding.AppendEncode(append(file, ' '), mac[:])
			file = append(file, '\n')

			var salt [fileKeySize]byte
			rand.Read(salt[:])
			file = append(file, salt[:]...)
			if err := primitive.SHA256.HKDF(payloadKey[:], fileKey, salt[:], []byte("payload")); err != nil {
				return err
			}
			nonce := [12]byte{11: 1} // the first chunk, and the last
			return k.root.Use(func(root []byte) error {
				file = primitive.ChaChaSeal(file, payloadKey, &nonce, root, nil)
				return nil
			})
		})
	})
	return file, err
}

const fileKeySize = 16 // of age

// appendStanza writes a recipient's stanza: its body in lines of 64 characters, of
// which the last is shorter.
func appendStanza(b []byte, s *age.Stanza) []byte {
	b = append(b, "-> "+strings.Join(append([]string{s.Type}, s.Args...), " ")+"\n"...)
	body := base64.RawStdEncoding.EncodeToString(s.Body)
	for len(body) >= 64 {
		b, body = append(b, body[:64]+"\n"...), body[64:]
	}
	return append(b, body+"\n"...)
}

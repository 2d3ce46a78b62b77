package rust

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"strconv"
)

// An ID names a client, a vault or a record: 24 bytes, derived from its path.
type ID [24]byte

// String returns the id as the Rust program shows it: 32 characters of URL-safe base64.
func (id ID) String() string { return base64.URLEncoding.EncodeToString(id[:]) }

// deriveID returns the first 24 bytes of HMAC-SHA-512. The path is the key of the HMAC, not its message.
func deriveID(data, path []byte) ID {
	mac := hmac.New(sha512.New, path)
	mac.Write(data)
	return ID(mac.Sum(nil)[:24])
}

// ClientID returns the id of the client with this path.
func ClientID(path []byte) ID { return deriveID(path, path) }

// VaultID returns the id of the vault with this path. It does not depend on the client.
func VaultID(path []byte) ID { return deriveID(path, path) }

// RecordID returns the id of the record at a generic location.
func RecordID(vaultPath, recordPath []byte) ID {
	vault := VaultID(vaultPath)
	return deriveID(vault[:], recordPath)
}

// CounterID returns the id of the record at a counter location: version n of what the vault holds.
//
// It is derived from a text: the path as Rust prints a Vec<u8> for debugging, and the number. Version 3 of the vault
// "va" is "[118, 97]3"; version 0 has the word first_record in place of the number.
func CounterID(vaultPath []byte, n uint64) ID {
	text := []byte{'['}
	for i, b := range vaultPath {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = strconv.AppendUint(text, uint64(b), 10)
	}
	text = append(text, ']')
	if n == 0 {
		text = append(text, "first_record"...)
	} else {
		text = strconv.AppendUint(text, n, 10)
	}
	return deriveID(text, text)
}

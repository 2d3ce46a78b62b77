package protocol

import "slices"

// Kinds of records: what a record's secret is, and so what may be done with it.
const (
	Data     = "data"           // any bytes
	Ed25519  = "ed25519"        // a signing key, RFC 8032
	Extended = "slip10-ed25519" // a private key and a chain code to derive from, SLIP-0010
	Mnemonic = "mnemonic"       // BIP 39: entropy, and the seed made of it and a passphrase
	Seed     = "seed"           // 16 to 64 bytes to derive from, SLIP-0010
)

var kinds = []string{Data, Ed25519, Extended, Mnemonic, Seed}

// KnownKind says whether records of this kind exist.
func KnownKind(kind string) bool { return slices.Contains(kinds, kind) }

// Kinds are all kinds, sorted.
func Kinds() []string { return slices.Clone(kinds) }

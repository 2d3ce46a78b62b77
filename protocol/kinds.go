package protocol

import "slices"

// Kinds of records: what a record's secret is, and so what may be done with it.
const (
	AES256   = "aes-256"        // 32 bytes, to encrypt with or to wrap other keys under
	Data     = "data"           // any bytes
	Ed25519  = "ed25519"        // a signing key, RFC 8032
	Extended = "slip10-ed25519" // a private key and a chain code to derive from, SLIP-0010
	Mnemonic = "mnemonic"       // BIP 39: entropy, and the seed made of it and a passphrase
	Seed     = "seed"           // 16 to 64 bytes to derive from, SLIP-0010
)

var kinds = []string{AES256, Data, Ed25519, Extended, Mnemonic, Seed}

// KnownKind says whether records of this kind exist.
func KnownKind(kind string) bool { return slices.Contains(kinds, kind) }

// Kinds are all kinds, sorted.
func Kinds() []string { return slices.Clone(kinds) }

// Flags of a record: what it may be used for. Those of its kind are on unless
// fewer are asked for when it is made; the last three are off unless they are.
const (
	FlagSign        = "sign"
	FlagDerive      = "derive"
	FlagAgree       = "agree"
	FlagEncrypt     = "encrypt"
	FlagDecrypt     = "decrypt"
	FlagMAC         = "mac"
	FlagWrapsOthers = "may-wrap-others" // other keys may be wrapped under it, and unwrapped; it does nothing else then
	FlagWrapped     = "may-be-wrapped"  // it may leave, wrapped under another
	FlagExportable  = "exportable"
)

// What is told beside these, and cannot be asked for.
const (
	FlagFromOutside = "from-outside" // somebody has known it: it was imported, written, shown, or made of what was
	FlagDisabled    = "disabled"     // it refuses every use until it is enabled
)

var flags = []string{FlagSign, FlagDerive, FlagAgree, FlagEncrypt, FlagDecrypt, FlagMAC, FlagWrapsOthers, FlagWrapped, FlagExportable}

// Flags are all flags that can be asked for.
func Flags() []string { return slices.Clone(flags) }

// checkFlags says what is wrong with flags that are asked for, "" if nothing.
func checkFlags(asked []string) string {
	for i, f := range asked {
		switch {
		case !slices.Contains(flags, f):
			return "unknown flag"
		case slices.Contains(asked[:i], f):
			return "a flag is given twice"
		}
	}
	return ""
}

package permissions

import "strings"

const (
	base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	others = "0OIl"
)

// looksLikeID says whether a name has the form of a peer id in canonical text:
// the base58 of an Ed25519 public key (12D3Koo…), of a secp256k1 one (16Uiu2…),
// or of a SHA-256 hash (Qm…). Ids are compared as text, so another spelling of
// one would never match.
func looksLikeID(name string) bool {
	ed25519 := len(name) == 52 && strings.HasPrefix(name, "12D3Koo")
	secp256k1 := len(name) == 53 && strings.HasPrefix(name, "16Uiu2")
	sha256 := len(name) == 46 && strings.HasPrefix(name, "Qm")
	return (ed25519 || secp256k1 || sha256) && strings.Trim(name, base58) == ""
}

// mayBeID says whether a person could take a name for a peer id, in this spelling
// or another: as a CID, or with a letter that is not quite right.
func mayBeID(name string) bool {
	return len(name) >= 46 && strings.Trim(name, base58+others) == ""
}

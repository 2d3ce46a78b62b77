package permissions

import "strings"

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// looksLikeID says whether a name has the form of a peer id in canonical text:
// the base58 of an Ed25519 public key (12D3Koo…) or of a SHA-256 hash (Qm…).
// Ids are compared as text, so another spelling of one would never match.
func looksLikeID(name string) bool {
	ed25519 := len(name) == 52 && strings.HasPrefix(name, "12D3Koo")
	sha256 := len(name) == 46 && strings.HasPrefix(name, "Qm")
	return (ed25519 || sha256) && strings.Trim(name, base58) == ""
}

package protocol

import "slices"

// Kinds of records: what a record's secret is, and so what may be done with it.
const (
	Ed25519 = "ed25519" // a 32-byte seed, RFC 8032
)

var kinds = []string{Ed25519}

// KnownKind says whether records of this kind exist.
func KnownKind(kind string) bool { return slices.Contains(kinds, kind) }

// Kinds are all kinds, sorted.
func Kinds() []string { return slices.Clone(kinds) }

package rust

import (
	"errors"
	"fmt"
)

var (
	// ErrNotSnapshot says that the bytes are not a Stronghold snapshot of any version.
	ErrNotSnapshot = errors.New("rust: not a Stronghold snapshot")

	// ErrWrongKey says that the key does not open the file. Versions 1 and 2 seal everything at once: there a damaged
	// file gives this error too, and cannot be told from a wrong key. In version 3 only damage to the scrypt stanza (salt,
	// work factor, sealed file key) can be taken for a wrong key.
	ErrWrongKey = errors.New("rust: wrong key")

	// ErrKeySize says that the key has not 32 bytes.
	ErrKeySize = errors.New("rust: the key must have 32 bytes")

	// ErrVaultKeys is the cause within a [*DamagedError] for a vault whose key, which a file holds twice, is not the same
	// in both places.
	ErrVaultKeys = errors.New("the two copies of a vault's key differ")

	// ErrState says that a state cannot be written: an id comes twice, a hint is longer than 24 bytes, an entry expires
	// before 1970.
	ErrState = errors.New("rust: the state cannot be written")
)

// UnsupportedVersionError says that the file is a snapshot of a version that does not exist.
type UnsupportedVersionError struct {
	Found [2]byte // major, minor
}

func (e *UnsupportedVersionError) Error() string {
	return fmt.Sprintf("rust: unsupported snapshot version %d.%d", e.Found[0], e.Found[1])
}

// ExpensiveError says that the file needs more memory than [Options] allows. No work was done.
type ExpensiveError struct {
	What           string // "scrypt", "argon2" or "lz4"
	Needs, Allowed uint64 // bytes
}

func (e *ExpensiveError) Error() string {
	return fmt.Sprintf("rust: %s needs %d bytes of memory, %d are allowed", e.What, e.Needs, e.Allowed)
}

// A Stage is a layer of the file.
type Stage string

// The layers, from the outside to the inside.
const (
	StageContainer Stage = "container" // the file itself and its age header; offsets count from the start of the file
	StagePayload   Stage = "payload"   // the encrypted chunks of version 3; likewise
	StageLZ4       Stage = "lz4"       // the compressed content; offsets count from its start
	StageState     Stage = "state"     // the bincode within; offsets count from its start
	StageVault     Stage = "vault"     // the sealed records within that; likewise
)

// DamagedError says where a file is not what its format demands. From the LZ4 stage on the content is authenticated:
// there the error means that the program which wrote the file, or somebody with its key, made it so.
type DamagedError struct {
	Stage  Stage
	Offset int    // bytes, from the start that the stage names
	Reason string // constant text: never a part of the file
	Err    error  // a sentinel, or nil
}

func (e *DamagedError) Error() string {
	reason := e.Reason
	if e.Err != nil {
		reason = e.Err.Error()
	}
	return fmt.Sprintf("rust: damaged snapshot: %s at byte %d: %s", e.Stage, e.Offset, reason)
}

func (e *DamagedError) Unwrap() error { return e.Err }

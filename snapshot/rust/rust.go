// Package rust reads the snapshot files of IOTA Stronghold, the Rust program whose successor this module is, and
// writes the last of its three formats.
//
// A file holds clients; a client has vaults with records, and a store of plain entries. It is one sealed block: [Open]
// gives the whole of it as a [State], or an error and nothing. Clients, vaults and records are named by ids only, which
// are derived from paths that the file does not hold: [ClientID], [VaultID], [RecordID] and [CounterID] derive them.
//
// The three formats are told apart without a key, by [Detect]:
//
//	1.0  XChaCha20-Poly1305 under the 32-byte key itself     Stronghold 0.2, the alpha
//	2.0  the same, under an X25519 secret; LZ4               Stronghold 0.3 to 1.1
//	3.0  an age v1 file with one scrypt stanza; LZ4          Stronghold 2.x
//
// All three take 32 bytes as their key, and each program made these from a password in its own way: see [Methods].
//
// The package is pure: bytes in, bytes out, no files. The files are taken as hostile, by whoever holds the key too:
// no length is believed, nothing is allocated that the input cannot fill, the price of scrypt and of LZ4 is known, and
// compared with [Options], before it is paid. It is strict where the Rust program is lenient: ids that contradict each
// other, entries that come twice and bytes that are left over make a file damaged.
package rust

import "fmt"

// KeySize is the length in bytes of the key of every format.
const KeySize = 32

// A Version is the version of a snapshot file, as the two bytes after its magic say.
type Version uint8

// The versions that can be read. Only V3 can be written.
const (
	V1 Version = 1 + iota // 1.0: Stronghold 0.2
	V2                    // 2.0: Stronghold 0.3 to 1.1
	V3                    // 3.0: Stronghold 2.x
)

// String returns the version as it is written in the file: "1.0", "2.0" or "3.0".
func (v Version) String() string { return fmt.Sprintf("%d.0", uint8(v)) }

const (
	magic      = "PARTI"
	headerSize = len(magic) + 2

	// The least sizes of a whole file. The first two are what is not ciphertext. The third is the one that the Rust
	// loader checks: it counts a header of 150 bytes, which a file with a work factor below 10 does not have.
	minSizeV1 = headerSize + nonceSize + tagSize
	minSizeV2 = headerSize + KeySize + tagSize
	minSizeV3 = headerSize + 150 + ageNonceSize
)

// Options bounds what [Open] may spend on a file. The zero value is usable.
type Options struct {
	// MaxScryptMemory is the memory in bytes that the password hash of a version 3 file, or an Argon2 of [Methods], may
	// take, and what all scrypts of a search for the right method may fill, one after the other. Default 1 GiB: scrypt
	// work factors up to 20. (The Rust program writes 19 and reads up to 23, which is 8 GiB.)
	MaxScryptMemory uint64

	// MaxState is the size in bytes that the decompressed content may have. Default 256 MiB.
	MaxState uint64
}

const (
	defaultMaxScryptMemory = 1 << 30
	defaultMaxState        = 256 << 20
)

func (o Options) maxScryptMemory() uint64 {
	if o.MaxScryptMemory == 0 {
		return defaultMaxScryptMemory
	}
	return o.MaxScryptMemory
}

func (o Options) maxState() uint64 {
	if o.MaxState == 0 {
		return defaultMaxState
	}
	return o.MaxState
}

// Info is what a file tells without its key.
type Info struct {
	Version Version

	// WorkFactor is the base-2 logarithm of scrypt's N in a version 3 file, 0 in the others, and Memory what the
	// password hash needs, in bytes.
	WorkFactor int
	Memory     uint64
}

// Detect tells what kind of snapshot file it is, without the key. Nothing it says is authenticated.
//
// Errors: [ErrNotSnapshot], [*UnsupportedVersionError], [*DamagedError] for a file that is too short for its version or
// has no valid age header.
func Detect(file []byte) (Info, error) {
	if len(file) < headerSize || string(file[:len(magic)]) != magic {
		return Info{}, ErrNotSnapshot
	}
	found := [2]byte(file[len(magic):headerSize])
	tooShort := &DamagedError{Stage: StageContainer, Offset: len(file), Reason: "file is too short"}
	switch found {
	case [2]byte{1, 0}:
		if len(file) < minSizeV1 {
			return Info{}, tooShort
		}
		return Info{Version: V1}, nil
	case [2]byte{2, 0}:
		if len(file) < minSizeV2 {
			return Info{}, tooShort
		}
		return Info{Version: V2}, nil
	case [2]byte{3, 0}:
		if len(file) < minSizeV3 {
			return Info{}, tooShort
		}
		h, err := parseAgeHeader(file)
		if err != nil {
			return Info{}, err
		}
		return Info{Version: V3, WorkFactor: h.workFactor, Memory: scryptMemory(h.workFactor)}, nil
	}
	return Info{}, &UnsupportedVersionError{Found: found}
}

// Open reads the snapshot file with its key of [KeySize] bytes. The file and the key are left as they are; the caller
// wipes the state when it has what it wants of it.
//
// Errors: those of [Detect], [ErrKeySize], [ErrWrongKey], [*ExpensiveError], [*DamagedError].
func Open(file, key []byte, o Options) (*State, error) {
	content, version, err := openContainer(file, key, o)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	return decode(version, content, o)
}

// Decode is the second half of [Open]: it reads what [Unseal] has taken out of the file, which it does not change.
//
// Errors: those of [Detect], [*DamagedError].
func Decode(file, content []byte, o Options) (*State, error) {
	info, err := Detect(file)
	if err != nil {
		return nil, err
	}
	return decode(info.Version, content, o)
}

func decode(version Version, content []byte, o Options) (*State, error) {
	if version == V1 { // the alpha did not compress
		return decodeAlpha(content)
	}
	state, err := decompress(content, o.maxState())
	if err != nil {
		return nil, err
	}
	defer clear(state)
	if version == V2 && isChained(state) {
		return decodeChained(state)
	}
	return decodeState(state)
}

// openContainer removes the outer encryption: what it returns is LZ4, or bincode in version 1.
func openContainer(file, key []byte, o Options) ([]byte, Version, error) {
	info, err := Detect(file)
	if err != nil {
		return nil, 0, err
	}
	if len(key) != KeySize {
		return nil, 0, ErrKeySize
	}
	var plain []byte
	switch info.Version {
	case V1:
		plain, err = openV1(file, key)
	case V2:
		plain, err = openV2(file, key)
	case V3:
		plain, err = openV3(file, key, o.maxScryptMemory())
	}
	return plain, info.Version, err
}

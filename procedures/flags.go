package procedures

import (
	"errors"
	"slices"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// ErrFlags means that a record's flags do not allow the operation.
var ErrFlags = errors.New("procedures: the record's flags do not allow it")

// The names of the flags, on the wire and in the vault.
var flagNames = []struct {
	flag vault.Flags
	name string
}{
	{vault.Sign, protocol.FlagSign},
	{vault.Derive, protocol.FlagDerive},
	{vault.Agree, protocol.FlagAgree},
	{vault.Encrypt, protocol.FlagEncrypt},
	{vault.Decrypt, protocol.FlagDecrypt},
	{vault.MAC, protocol.FlagMAC},
	{vault.MayWrapOthers, protocol.FlagWrapsOthers},
	{vault.MayBeWrapped, protocol.FlagWrapped},
	{vault.MayBeExported, protocol.FlagExportable},
	{vault.FromOutside, protocol.FlagFromOutside},
	{vault.Disabled, protocol.FlagDisabled},
}

// Leaving are the flags that let a secret out.
const Leaving = vault.MayBeWrapped | vault.MayBeExported

// Uses are what a record of the kind may be used for unless fewer are asked for.
func Uses(k vault.Kind) vault.Flags {
	switch k {
	case vault.Ed25519:
		return vault.Sign
	case vault.Seed, vault.Extended, vault.Mnemonic:
		return vault.Derive
	case vault.AES256:
		return vault.Encrypt | vault.Decrypt
	}
	return 0
}

// may are all flags that a record of the kind may be made with.
func may(k vault.Kind) vault.Flags {
	f := Uses(k) | Leaving
	switch k {
	case vault.AES256:
		f |= vault.MayWrapOthers
	case vault.Mnemonic: // its record is more than a key
		f &^= vault.MayBeWrapped
	case vault.Untyped:
		f = 0
	}
	return f
}

// FlagsOf are the flags of a new record of the kind, from the names that were
// asked for; what its kind can if there are none. A key that wraps others does
// nothing else: what it wraps it would decrypt, too.
func FlagsOf(k vault.Kind, names []string) (f vault.Flags, err error) {
	if len(names) == 0 {
		return Uses(k), nil
	}
	for _, name := range names {
		i := slices.IndexFunc(flagNames, func(n struct {
			flag vault.Flags
			name string
		}) bool {
			return n.name == name
		})
		if i < 0 || flagNames[i].flag&may(k) == 0 {
			return 0, &InputError{"flags", "not a flag of this kind of record"}
		}
		f |= flagNames[i].flag
	}
	if f&vault.MayWrapOthers != 0 && f&(vault.Encrypt|vault.Decrypt) != 0 {
		return 0, &InputError{"flags", "a key that wraps others does not encrypt or decrypt"}
	}
	return f, nil
}

// FlagNames are the names of the flags that are set.
func FlagNames(f vault.Flags) (names []string) {
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// Permit says whether a record may be used so: [ErrKind] if none of its kind
// may, [ErrFlags] if this one may not.
func Permit(k vault.Kind, f, use vault.Flags) error {
	switch {
	case may(k)&use == 0:
		return ErrKind
	case f&use == 0:
		return ErrFlags
	}
	return nil
}

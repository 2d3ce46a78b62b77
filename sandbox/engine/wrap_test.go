package engine

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// unwrapped is RFC 3394, section 2.2.2, by the standard library's block cipher: what
// somebody does at home who has the key that wrapped. nil if it does not fit.
func unwrapped(t *testing.T, kek, c []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	n := len(c)/8 - 1
	a, r := binary.BigEndian.Uint64(c), bytes.Clone(c[8:])
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			b := binary.BigEndian.AppendUint64(nil, a^uint64(n*j+i))
			b = append(b, r[8*i-8:8*i]...)
			block.Decrypt(b, b)
			a = binary.BigEndian.Uint64(b)
			copy(r[8*i-8:], b[8:])
		}
	}
	if a != 0xa6a6a6a6a6a6a6a6 {
		return nil
	}
	return r
}

// settings are all that can be asked for when a record of this kind is made.
func settings(t *testing.T, k vault.Kind) (all [][]string) {
	names := protocol.Flags()
	for bits := range 1 << len(names) {
		var asked []string
		for i, name := range names {
			if bits>>i&1 != 0 {
				asked = append(asked, name)
			}
		}
		if _, err := procedures.FlagsOf(k, asked); err == nil {
			all = append(all, asked)
		}
	}
	if len(all) < 4 {
		t.Fatalf("%d settings", len(all))
	}
	return all
}

// TestWrapAndExtract is the attack: have every key wrapped under one that is
// known, and unwrap it at home. It is tried with every flag setting of both keys,
// for every kind, for a wrapping key that was imported and one that was made
// here. It succeeds at one: both keys were made for it, and the one that leaves
// had been known before.
func TestWrapAndExtract(t *testing.T) {
	e, _ := opened(t)
	known := bytes.Repeat([]byte{7}, 32)
	make32 := func(kind, name string, flags []string, outside bool) *protocol.Location {
		loc := at(t, "c/"+kind+"/"+name)
		req := &protocol.Request{Operation: "key.generate", Location: loc, Kind: kind, Flags: flags, Overwrite: true}
		if kind == protocol.Seed {
			req.Operation, req.Kind, req.Size = "slip10.generate", "", 32
		}
		if outside {
			req.Operation, req.Kind, req.Size = "record.write", kind, 0
			sealFor(t, e, req, string(known))
		}
		do(t, e, req)
		return loc
	}
	kinds := map[string]vault.Kind{protocol.AES256: vault.AES256, protocol.Ed25519: vault.Ed25519, protocol.Seed: vault.Seed, protocol.Data: vault.Data}
	type key struct {
		loc     *protocol.Location
		flags   []string
		outside bool
	}
	var keks, keys []key
	for kind, k := range kinds {
		for i, flags := range settings(t, k) {
			for _, outside := range []bool{false, true} {
				if kind == protocol.Data && !outside {
					continue // data is not made here
				}
				name := string(rune('a'+i)) + map[bool]string{true: " outside", false: ""}[outside]
				made := key{make32(kind, name, flags, outside), flags, outside}
				keys = append(keys, made)
				keks = append(keks, made) // whatever its kind: it is asked to wrap
			}
		}
	}
	tried, given, read := 0, 0, 0
	for _, kek := range keks {
		for _, k := range keys {
			tried++
			resp := ask(t, e, &protocol.Request{Operation: "aes.wrap", Location: kek.loc, Target: k.loc})
			meant := slices.Contains(kek.flags, protocol.FlagWrapsOthers) && slices.Contains(k.flags, protocol.FlagWrapped) && (!kek.outside || k.outside)
			if got := resp.Status == protocol.Status_OK; got != meant || !got && (resp.Status != protocol.Status_WRONG_KIND || resp.Wrapped != nil) {
				t.Errorf("%s %q (outside %v) wraps %s %q (outside %v): %s", kek.loc.Text(), kek.flags, kek.outside, k.loc.Text(), k.flags, k.outside, resp.Status.Code())
				continue
			}
			if resp.Status != protocol.Status_OK {
				continue
			}
			given++
			secret := unwrapped(t, known, resp.Wrapped)
			if (secret != nil) != kek.outside {
				t.Errorf("%s wraps %s: read at home: %v", kek.loc.Text(), k.loc.Text(), secret != nil)
			}
			if secret != nil {
				read++
				if !k.outside || !bytes.Equal(secret, known) {
					t.Errorf("%s wraps %s: a secret got out that nobody knew", kek.loc.Text(), k.loc.Text())
				}
			}
		}
	}
	if tried < 1000 || given == 0 || read == 0 {
		t.Errorf("%d tried, %d wrapped, %d read: not what was meant", tried, given, read)
	}

	// Nor does a way around lead there: a copy, a move, or a new kind raises no flag.
	secret := make32(protocol.Ed25519, "secret", []string{"sign"}, false)
	kek := make32(protocol.AES256, "kek", []string{protocol.FlagWrapsOthers}, false)
	for _, op := range []string{"record.copy", "record.move"} {
		to := at(t, "c/elsewhere/"+op)
		do(t, e, &protocol.Request{Operation: op, Location: secret, Target: to})
		want(t, ask(t, e, &protocol.Request{Operation: "aes.wrap", Location: kek, Target: to}), protocol.Status_WRONG_KIND)
		want(t, ask(t, e, &protocol.Request{Operation: op, Location: to, Target: at(t, "c/elsewhere/flags"), Flags: []string{protocol.FlagWrapped}}), protocol.Status_INVALID)
	}
	want(t, ask(t, e, &protocol.Request{Operation: "record.type", Location: at(t, "c/elsewhere/record.move"), Kind: protocol.Data}), protocol.Status_WRONG_KIND)
	isEmpty(t, e, 4)
}

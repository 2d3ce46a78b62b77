package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func sealedRequest() *Request {
	return &Request{Id: bytes.Repeat([]byte{1}, 16), Operation: "key.import", Kind: Ed25519,
		Location: &Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte("main")}}
}

func TestSeal(t *testing.T) {
	key, err := NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	if len(key.Public()) != 32 {
		t.Errorf("the public key has %d bytes", len(key.Public()))
	}
	for _, plaintext := range [][]byte{{}, []byte("a secret"), make([]byte, MaxSecret)} {
		sealed, err := Seal(key.Public(), sealedRequest(), "secret", ToZone, plaintext)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plaintext)+SealOverhead {
			t.Errorf("sealing added %d bytes, not %d", len(sealed)-len(plaintext), SealOverhead)
		}
		got, err := Open(key, sealedRequest(), "secret", ToZone, sealed)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("opened to %d bytes, %v", len(got), err)
		}
	}
}

// TestSealIsBound moves a sealed value to where it does not belong, one
// difference at a time.
func TestSealIsBound(t *testing.T) {
	key, _ := NewSealKey()
	other, _ := NewSealKey()
	sealed, err := Seal(key.Public(), sealedRequest(), "secret", ToZone, []byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(key *SealKey, field string, dir Direction, change func(*Request)) error {
		req := sealedRequest()
		change(req)
		_, err := Open(key, req, field, dir, sealed)
		return err
	}
	same := func(*Request) {}
	tests := map[string]error{
		"another key":        open(other, "secret", ToZone, same),
		"another field":      open(key, "reply", ToZone, same),
		"the other way":      open(key, "secret", ToAsker, same),
		"another operation":  open(key, "secret", ToZone, func(r *Request) { r.Operation = "key.generate" }),
		"another request":    open(key, "secret", ToZone, func(r *Request) { r.Id[15]++ }),
		"another record":     open(key, "secret", ToZone, func(r *Request) { r.Location.Record = []byte("mai") }),
		"another vault":      open(key, "secret", ToZone, func(r *Request) { r.Location.Vault = []byte("key") }),
		"a moved boundary":   open(key, "secret", ToZone, func(r *Request) { r.Location.Client, r.Location.Vault = []byte("walletk"), []byte("eys") }),
		"a version":          open(key, "secret", ToZone, func(r *Request) { r.Location.Record, r.Location.Version = nil, version(0) }),
		"the head":           open(key, "secret", ToZone, func(r *Request) { r.Location.Record, r.Location.Head = nil, true }),
		"an id":              open(key, "secret", ToZone, func(r *Request) { r.Location.Record, r.Location.RecordId = nil, []byte("main") }),
		"no location":        open(key, "secret", ToZone, func(r *Request) { r.Location = nil }),
		"as target":          open(key, "secret", ToZone, func(r *Request) { r.Location, r.Target = nil, r.Location }),
		"a target more":      open(key, "secret", ToZone, func(r *Request) { r.Target = &Location{} }),
		"cut":                openBytes(key, sealed[:len(sealed)-1]),
		"a bit more":         openBytes(key, append(bytes.Clone(sealed), 0)),
		"shorter than a key": openBytes(key, sealed[:31]),
		"nothing":            openBytes(key, nil),
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 0x01
		tests[fmt.Sprintf("damaged at %d", i)] = openBytes(key, damaged)
	}
	for name, err := range tests {
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func openBytes(key *SealKey, sealed []byte) error {
	_, err := Open(key, sealedRequest(), "secret", ToZone, sealed)
	return err
}

// TestSealSurvivesTheWire: what a request says is the same once it was encoded,
// whichever way its sender wrote down what is absent.
func TestSealSurvivesTheWire(t *testing.T) {
	key, _ := NewSealKey()
	for _, loc := range []*Location{nil, {}, {Client: []byte("c")}, {Client: []byte("c"), ClientId: []byte{}},
		{Client: []byte("c"), Vault: []byte("v"), Version: version(0)}, {Client: []byte("c"), Vault: []byte("v"), Head: true}} {
		req := &Request{Id: NewID(), Operation: "key.import", Location: loc}
		sealed, err := Seal(key.Public(), req, "secret", ToZone, []byte("a secret"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := Marshal(req)
		there := new(Request)
		if err := Unmarshal(b, there); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(key, there, "secret", ToZone, sealed); err != nil {
			t.Errorf("%v: %v", loc, err)
		}
	}
}

func TestSealRefusesBadKeys(t *testing.T) {
	for _, public := range [][]byte{nil, make([]byte, 31), make([]byte, 33), make([]byte, 32)} { // the last is of low order
		if _, err := Seal(public, sealedRequest(), "secret", ToZone, []byte("a secret")); err == nil {
			t.Errorf("sealed to a key of %d bytes", len(public))
		}
	}
}

func TestSealKeyShowsNothing(t *testing.T) {
	key, _ := NewSealKey()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		for _, v := range []any{key, *key, struct{ K *SealKey }{key}, struct{ K SealKey }{*key}} {
			got := fmt.Sprintf(verb, v)
			if !strings.Contains(got, "[secret]") && !(verb == "%p") && !strings.Contains(got, "0x") {
				t.Errorf("%s of %T shows %q", verb, v, got)
			}
			if len(got) > 200 {
				t.Errorf("%s of %T shows %d characters", verb, v, len(got))
			}
		}
	}
	//lint:ignore SA9005 that there is nothing to marshal is what is tested
	if b, err := json.Marshal(key); err != nil || string(b) != "{}" {
		t.Errorf("as JSON it is %s, %v", b, err)
	}
}

// TestSealProof: a proof opens for its request only, and says the same.
func TestSealProof(t *testing.T) {
	key, err := NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	req := &Request{Id: NewID(), Operation: "slot.add"}
	proof := &Proof{Key: []byte("key"), Recipient: "age1", Cost: 17}
	sealed, err := SealProof(key.Public(), req, proof)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Open(key, req, "secret", ToZone, sealed)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Proof)
	if err := Unmarshal(plain, got); err != nil || !proto.Equal(got, proof) {
		t.Errorf("it says %v, %v", got, err)
	}
	if _, err := Open(key, &Request{Id: req.Id, Operation: "slot.remove"}, "secret", ToZone, sealed); err == nil {
		t.Error("it opens for another operation")
	}
	if _, err := SealProof(nil, req, proof); err == nil {
		t.Error("sealed to no key")
	}
}

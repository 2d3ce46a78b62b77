package protocol

import (
	"context"
	"errors"
	"testing"
)

// TestClientSealsAgain: a client whose key the zone has forgotten seals to the present
// one, once, and asks again; and not if the key is what it was.
func TestClientSealsAgain(t *testing.T) {
	keys := make([]*SealKey, 3)
	for i := range keys {
		var err error
		if keys[i], err = NewSealKey(); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name    string
		told    []int // which key it is told, time after time
		opens   int   // which key the zone has
		imports int
		want    error
	}{
		{"the present key", []int{0}, 0, 1, nil},
		{"an older one", []int{0, 1}, 1, 2, nil},
		{"an older one, twice", []int{0, 1}, 2, 2, ErrInvalid},
		{"not for the key", []int{0, 0}, 1, 1, ErrInvalid},
	} {
		asked, imports := 0, 0
		c := Client{H: HandlerFunc(func(_ context.Context, req *Request) (*Response, error) {
			if req.Operation == "zone.key" {
				asked++
				return &Response{Status: Status_OK, PublicKey: keys[test.told[asked-1]].Public()}, nil
			}
			imports++
			if _, err := Open(keys[test.opens], req, "secret", ToZone, req.Secret); err != nil {
				return Invalid("secret", "does not open"), nil
			}
			if _, err := Open(keys[test.opens], req, "passphrase", ToZone, req.Passphrase); err != nil {
				return Invalid("passphrase", "does not open"), nil
			}
			return &Response{Status: Status_OK}, nil
		})}
		err := c.RecoverMnemonic(t.Context(), &Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}, []byte("abandon"), MnemonicOptions{Passphrase: []byte("p")})
		if !errors.Is(err, test.want) || imports != test.imports || asked != len(test.told) {
			t.Errorf("%s: %v, after %d of %d questions and %d requests", test.name, err, asked, len(test.told), imports)
		}
	}
}

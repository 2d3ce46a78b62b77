package local_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestWallet asks as a wallet does, with the typed client: the first vector of
// BIP 39 gives the seed that BIP 39 says, and a new mnemonic brings itself back.
func TestWallet(t *testing.T) {
	s := open(t, newHome(t))
	c := s.Client()
	ctx := t.Context()
	if err := c.Unlock(ctx, []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	const path = "m/44'/4218'/0'"
	derive := func(from string) []byte {
		t.Helper()
		public, err := c.DeriveKey(ctx, loc(t, from), loc(t, from+"-key"), path, false)
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	seed, err := hex.DecodeString("c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImportKey(ctx, loc(t, "w/s/vector"), protocol.Seed, seed, false); err != nil {
		t.Fatal(err)
	}
	words := []byte(strings.Repeat("abandon ", 11) + "about")
	trezor := protocol.MnemonicOptions{Passphrase: []byte("TREZOR")}
	if err := c.RecoverMnemonic(ctx, loc(t, "w/s/trezor"), words, trezor); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(derive("w/s/vector"), derive("w/s/trezor")) {
		t.Error("the vector's words do not give its seed")
	}
	if err := c.RecoverMnemonic(ctx, loc(t, "w/s/trezor"), words, trezor); !errors.Is(err, protocol.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if err := c.RecoverMnemonic(ctx, loc(t, "w/s/wrong"), []byte("abandon"), trezor); !errors.Is(err, protocol.ErrInvalid) {
		t.Errorf("one word: %v", err)
	}

	for name, o := range map[string]protocol.MnemonicOptions{
		"plain": {}, "short": {Words: 12}, "nihongo": {Words: 15, Language: "japanese", Passphrase: []byte("さくら")},
	} {
		words, err := c.GenerateMnemonic(ctx, loc(t, "w/s/"+name), o)
		if err != nil {
			t.Fatal(err)
		}
		want := o.Words
		if want == 0 {
			want = 24
		}
		if n := len(bytes.Fields(words)); n != want {
			t.Errorf("%s: %d words", name, n)
		}
		if err := c.RecoverMnemonic(ctx, loc(t, "w/s/"+name+"-again"), words, o); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(derive("w/s/"+name), derive("w/s/"+name+"-again")) {
			t.Errorf("%s: brought back, it is another wallet", name)
		}
	}
	for _, o := range []protocol.MnemonicOptions{{Words: 13}, {Words: 9}, {Words: 27}, {Language: "klingon"}, {Passphrase: make([]byte, protocol.MaxPassphrase+1)}} {
		if _, err := c.GenerateMnemonic(ctx, loc(t, "w/s/none"), o); !errors.Is(err, protocol.ErrInvalid) {
			t.Errorf("%d words, language %q: %v", o.Words, o.Language, err)
		}
	}

	if err := c.GenerateSeed(ctx, loc(t, "w/s/made"), 32, false); err != nil {
		t.Fatal(err)
	}
	derive("w/s/made")
	if err := c.GenerateSeed(ctx, loc(t, "w/s/small"), 15, false); !errors.Is(err, protocol.ErrInvalid) {
		t.Errorf("a seed of 15 bytes: %v", err)
	}
	if err := c.GenerateSeed(ctx, loc(t, "w/s/made"), 0, false); !errors.Is(err, protocol.ErrExists) {
		t.Errorf("over another: %v", err)
	}
	if err := c.GenerateSeed(ctx, loc(t, "w/s/made"), 0, true); err != nil {
		t.Error(err)
	}
}

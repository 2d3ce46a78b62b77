package rust

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"testing"
)

// The vectors were found in files that iota-sdk and Firefly wrote.
func TestIDs(t *testing.T) {
	for _, test := range []struct {
		name string
		id   ID
		want string
	}{
		{"client", ClientID([]byte("iota_seed")), "4d6d354cd2fc52effbb5741cbe206da77024f8b3c3594f82"},
		{"client", ClientID([]byte("iota-wallet-records")), "52ccd1d7e86523610b5534f05097d3b7c771ffbaeac7e7c9"},
		{"vault", VaultID([]byte("iota-wallet-secret")), "4dc00c84b7a4244e8686f5a1eaa4d82fe4f60ca81a50acfb"},
		{
			"record", RecordID([]byte("iota-wallet-secret"), []byte("iota-wallet-seed")),
			"c582e1fda802fd150b16ec724e268bc9a8ef5e11a1acf72d",
		},
	} {
		if got := hex.EncodeToString(test.id[:]); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	// The Rust client 2.1.0 found records under these, by their paths, in a file of Encode.
	for _, test := range []struct {
		id   ID
		want string
	}{
		{RecordID([]byte("main"), []byte("one")), "Y5NiGK0UxPr4rTyllDhd4MIEqiRZCfxG"},
		{CounterID([]byte("main"), 0), "O1o5vQiX7r1opnV5UwSX7QQKjj-FyGVQ"},
		{CounterID([]byte("main"), 19), "tuy9Q_0nFCi5J4qyDTj66iuDlXBcg3hA"},
	} {
		if got := test.id.String(); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
	if got := ClientID([]byte("iota_seed")).String(); got != "TW01TNL8Uu_7tXQcviBtp3Ak-LPDWU-C" {
		t.Errorf("printed: %s", got)
	}
}

func TestCounterIDs(t *testing.T) {
	for _, test := range []struct {
		path string
		n    uint64
		text string
	}{
		{"va", 3, "[118, 97]3"},
		{"va", 0, "[118, 97]first_record"},
		{"", 0, "[]first_record"},
		{"", 1<<64 - 1, "[]18446744073709551615"},
		{"\x00\xff", 10, "[0, 255]10"},
	} {
		mac := hmac.New(sha512.New, []byte(test.text))
		mac.Write([]byte(test.text))
		if got, want := CounterID([]byte(test.path), test.n), ID(mac.Sum(nil)[:24]); got != want {
			t.Errorf("%q, %d: %s, want %s", test.path, test.n, got, want)
		}
	}
}

package itest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// slip10 derives an Ed25519 key as SLIP-0010 says: a second opinion, in the
// standard library's terms.
func slip10(seed []byte, path ...uint32) ed25519.PublicKey {
	key, data := []byte("ed25519 seed"), seed
	for i := 0; ; i++ {
		mac := hmac.New(sha512.New, key)
		mac.Write(data)
		sum := mac.Sum(nil)
		if i == len(path) {
			return ed25519.NewKeyFromSeed(sum[:32]).Public().(ed25519.PublicKey)
		}
		key, data = sum[32:], binary.BigEndian.AppendUint32(append([]byte{0}, sum[:32]...), path[i]|1<<31)
	}
}

// derive is a request to derive a key at to.
func derive(from, to *protocol.Location, path string) *protocol.Request {
	return &protocol.Request{Operation: "slip10.derive", Location: from, Target: to, Path: path}
}

func testDerive(t *testing.T, s *suite) {
	raw := bytes.Repeat([]byte{5}, 32)
	seed, key := s.at("seeds", "main"), s.at("keys", "main")
	s.want(t, protocol.Status_OK, s.write(t, seed, protocol.Seed, raw))

	resp := s.want(t, protocol.Status_OK, derive(seed, key, "m/44'/4218'/0'"))
	want := slip10(raw, 44, 4218, 0)
	if resp.Kind != protocol.Ed25519 || !want.Equal(ed25519.PublicKey(resp.PublicKey)) {
		t.Errorf("derived %v, want %x", resp, want)
	}
	s.sign(t, key, want, []byte("by a derived key"))

	// In two steps it is the same.
	extended := derive(seed, s.at("seeds", "account"), "m/44'/4218'")
	extended.Kind = protocol.Extended
	if resp := s.want(t, protocol.Status_OK, extended); resp.Kind != protocol.Extended {
		t.Errorf("derived %v", resp)
	}
	if resp := s.want(t, protocol.Status_OK, derive(s.at("seeds", "account"), s.at("keys", "second"), "m/0'")); !want.Equal(ed25519.PublicKey(resp.PublicKey)) {
		t.Errorf("derived in two steps: %v, want %x", resp, want)
	}

	other := s.at("keys", "other")
	s.want(t, protocol.Status_EXISTS, derive(seed, key, "m/1'"))
	s.want(t, protocol.Status_NOT_FOUND, derive(s.at("seeds", "none"), other, "m/1'"))
	s.want(t, protocol.Status_WRONG_KIND, derive(key, other, "m/1'"))
	for _, path := range []string{"m/1", "1'", "m//1'", "m/2147483648'", "m/-1'", "m/x'", "m/1'/", "M/1'", strings.Repeat("m", 1<<10), "m" + strings.Repeat("/0'", 1<<12)} {
		s.wantInvalid(t, "path", derive(seed, other, path))
	}
	wrong := derive(seed, other, "m/1'")
	wrong.Kind = protocol.Data
	s.wantInvalid(t, "kind", wrong)
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: other})
}

func testSeed(t *testing.T, s *suite) {
	for _, size := range []uint32{0, 16, 64} {
		loc := s.at("seeds", fmt.Sprint(size))
		resp := s.want(t, protocol.Status_OK, &protocol.Request{Operation: "slip10.generate", Location: loc, Size: size})
		if resp.Kind != protocol.Seed {
			t.Errorf("made a %s", resp.Kind)
		}
		s.want(t, protocol.Status_EXISTS, &protocol.Request{Operation: "slip10.generate", Location: loc})
		s.want(t, protocol.Status_OK, derive(loc, s.at("keys", fmt.Sprint(size)), "m/0'"))
		s.want(t, protocol.Status_WRONG_KIND, &protocol.Request{Operation: "key.public", Location: loc})
		s.want(t, protocol.Status_WRONG_KIND, &protocol.Request{Operation: "ed25519.sign", Location: loc, Message: []byte("m")})
	}
	for _, size := range []uint32{1, 15, 65, 1 << 31} {
		s.wantInvalid(t, "size", &protocol.Request{Operation: "slip10.generate", Location: s.at("seeds", "other"), Size: size})
	}
}

// recovering is a request that brings the words of a mnemonic, and its
// passphrase if there is one.
func (s *suite) recovering(t testing.TB, loc *protocol.Location, words, passphrase string) *protocol.Request {
	t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: "bip39.recover", Location: loc}
	req.Secret = s.seal(t, req, "secret", []byte(words))
	if passphrase != "" {
		req.Passphrase = s.seal(t, req, "passphrase", []byte(passphrase))
	}
	return req
}

// testRecover takes in a vector of BIP 39's own.
func testRecover(t *testing.T, s *suite) {
	words := strings.Repeat("abandon ", 11) + "about"
	seed, err := hex.DecodeString("c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04")
	if err != nil {
		t.Fatal(err)
	}
	loc := s.at("mnemonics", "main")
	if resp := s.want(t, protocol.Status_OK, s.recovering(t, loc, words, "TREZOR")); resp.Kind != protocol.Mnemonic {
		t.Errorf("recovered %v", resp)
	}
	resp := s.want(t, protocol.Status_OK, derive(loc, s.at("keys", "main"), "m/44'/4218'/0'"))
	if want := slip10(seed, 44, 4218, 0); !want.Equal(ed25519.PublicKey(resp.PublicKey)) {
		t.Errorf("derived %x, want %x", resp.PublicKey, want)
	}
	s.want(t, protocol.Status_EXISTS, s.recovering(t, loc, words, ""))

	// Another passphrase is another seed.
	s.want(t, protocol.Status_OK, s.recovering(t, s.at("mnemonics", "other"), words, ""))
	if other := s.want(t, protocol.Status_OK, derive(s.at("mnemonics", "other"), s.at("keys", "other"), "m/44'/4218'/0'")); bytes.Equal(other.PublicKey, resp.PublicKey) {
		t.Error("the passphrase makes no difference")
	}
	absent := s.at("mnemonics", "absent")
	for _, bad := range []string{"", "abandon", strings.Repeat("abandon ", 11) + "abandon", strings.Repeat("xyzzy ", 11) + "about", strings.Repeat("abandon ", 1000)} {
		s.wantInvalid(t, "secret", s.recovering(t, absent, bad, ""))
	}
	japanese := s.recovering(t, absent, words, "")
	japanese.Language = "japanese"
	s.wantInvalid(t, "secret", japanese)
	unknown := s.recovering(t, absent, words, "")
	unknown.Language = "klingon"
	s.wantInvalid(t, "language", unknown)
	swapped := s.recovering(t, absent, words, "TREZOR")
	swapped.Passphrase = s.seal(t, swapped, "secret", []byte("TREZOR")) // sealed for another field
	s.wantInvalid(t, "passphrase", swapped)
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: absent})
}

func testMnemonic(t *testing.T, s *suite) {
	reply, err := protocol.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	generate := func(name string, size uint32) *protocol.Request {
		return &protocol.Request{Id: protocol.NewID(), Operation: "bip39.generate", Location: s.at("mnemonics", name), Size: size, ReplyKey: reply.Public()}
	}
	for size, count := range map[uint32]int{0: 24, 16: 12, 20: 15, 24: 18, 28: 21, 32: 24} {
		name := fmt.Sprint(size)
		req := generate(name, size)
		resp := s.want(t, protocol.Status_OK, req)
		words, err := protocol.Open(reply, req, "reply_key", protocol.ToAsker, resp.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(strings.Fields(string(words))); got != count || resp.Kind != protocol.Mnemonic {
			t.Errorf("of %d bytes: %d words, want %d", size, got, count)
		}
		// The words are those of the record: who types them in has the same keys.
		s.want(t, protocol.Status_OK, s.recovering(t, s.at("recovered", name), string(words), ""))
		a := s.want(t, protocol.Status_OK, derive(s.at("mnemonics", name), s.at("a", name), "m/44'/0'"))
		b := s.want(t, protocol.Status_OK, derive(s.at("recovered", name), s.at("b", name), "m/44'/0'"))
		if !bytes.Equal(a.PublicKey, b.PublicKey) {
			t.Error("the words recover another seed")
		}
	}
	s.want(t, protocol.Status_EXISTS, generate("16", 16))
	for _, size := range []uint32{1, 15, 17, 33, 1 << 31} {
		s.wantInvalid(t, "size", generate("other", size))
	}
	req := generate("other", 16)
	req.Language = "klingon"
	s.wantInvalid(t, "language", req)
	for _, key := range [][]byte{make([]byte, 31), make([]byte, 33), make([]byte, 32)} { // the last is of low order
		req := generate("other", 16)
		req.ReplyKey = key
		s.wantInvalid(t, "reply_key", req)
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "key.public", Location: s.at("mnemonics", "other")})
}

// key is a key in the store of the suite's client.
func (s *suite) key(name string) *protocol.Location { return s.in(name) }

func testStore(t *testing.T, s *suite) {
	put := func(name string, value []byte) *protocol.Request {
		return &protocol.Request{Operation: "store.put", Location: s.key(name), Value: value}
	}
	get := func(name string) *protocol.Request {
		return &protocol.Request{Operation: "store.get", Location: s.key(name)}
	}
	remove := func(name string) *protocol.Request {
		return &protocol.Request{Operation: "store.remove", Location: s.key(name)}
	}
	values := map[string][]byte{"a": []byte("one"), "empty": {}, "large": bytes.Repeat([]byte{1}, protocol.MaxValue),
		"\x00": {0}, "\xff": {0xff}, "a/b": []byte("slash"), "\u00e9": []byte("composed"), "e\u0301": []byte("not"), "a\x00": []byte("another than a")}
	s.want(t, protocol.Status_NOT_FOUND, get("a"))
	s.want(t, protocol.Status_NOT_FOUND, remove("a"))
	for name, value := range values {
		s.want(t, protocol.Status_OK, put(name, value))
	}
	for name, value := range values {
		resp := s.want(t, protocol.Status_OK, get(name))
		if resp.Value == nil || !bytes.Equal(resp.Value, value) {
			t.Errorf("%q has %d bytes, nil: %v", name, len(resp.Value), resp.Value == nil)
		}
		if len(resp.Entries) != 1 || resp.Entries[0].ExpiresMs != 0 || string(resp.Entries[0].Location.GetVault()) != name {
			t.Errorf("%q: %v", name, resp.Entries)
		}
	}
	s.want(t, protocol.Status_OK, put("a", []byte("two"))) // a value is replaced
	if resp := s.want(t, protocol.Status_OK, get("a")); string(resp.Value) != "two" {
		t.Errorf("the value is %q", resp.Value)
	}
	s.want(t, protocol.Status_OK, remove("a"))
	s.want(t, protocol.Status_NOT_FOUND, get("a"))
	s.want(t, protocol.Status_NOT_FOUND, remove("a"))
	s.want(t, protocol.Status_OK, get("a\x00"))

	// One that expires is there, says when, and then it is not.
	long, short := put("long", []byte("v")), put("short", []byte("v"))
	long.TtlMs, short.TtlMs = 3600_000, 1
	s.want(t, protocol.Status_OK, long)
	s.want(t, protocol.Status_OK, short)
	if resp := s.want(t, protocol.Status_OK, get("long")); resp.Entries[0].ExpiresMs <= resp.Entries[0].ChangedMs {
		t.Errorf("it expires, and says %v", resp.Entries[0])
	}
	for s.ask(t, get("short")).Status != protocol.Status_NOT_FOUND {
		if t.Context().Err() != nil {
			t.Fatal("it does not expire")
		}
	}
	s.wantInvalid(t, "value", put("other", make([]byte, protocol.MaxValue+1)))
	forever := put("other", []byte("v"))
	forever.TtlMs = protocol.MaxTTL + 1
	s.wantInvalid(t, "ttl_ms", forever)
	for _, loc := range []*protocol.Location{{Client: []byte("c")}, s.at("v", "r"), {Vault: []byte("v")}, s.key("")} {
		s.wantInvalid(t, "location", &protocol.Request{Operation: "store.get", Location: loc})
	}
	// A record and a store's key do not meet.
	s.generate(t, s.at("long", "main"))
	s.want(t, protocol.Status_OK, get("long"))
}

func testStoreList(t *testing.T, s *suite) {
	client := &protocol.Location{Client: []byte(s.client)}
	list := func(limit uint32, after []byte) *protocol.Response {
		t.Helper()
		return s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.list", Location: client, Limit: limit, After: after})
	}
	s.want(t, protocol.Status_NOT_FOUND, &protocol.Request{Operation: "store.list", Location: client}) // there is no such client
	const all = "abcde"
	for _, name := range all {
		s.want(t, protocol.Status_OK, &protocol.Request{Operation: "store.put", Location: s.key(string(name)), Value: []byte("v"), TtlMs: 3600_000})
	}
	for limit := range uint32(len(all) + 2) {
		var got string
		var after []byte
		for {
			resp := list(limit, after)
			for _, e := range resp.Entries {
				got += string(e.Location.GetVault())
				if string(e.Location.Client) != s.client || e.ChangedMs == 0 || e.ExpiresMs <= e.ChangedMs {
					t.Errorf("an entry: %v", e)
				}
			}
			if after = resp.Next; len(after) == 0 {
				break
			}
		}
		if got != all {
			t.Errorf("in pages of %d: %q", limit, got)
		}
	}
	if resp := list(uint32(len(all)), nil); len(resp.Next) > 0 {
		t.Error("the last full page says that there is another")
	}
	s.wantInvalid(t, "location", &protocol.Request{Operation: "store.list", Location: s.key("a")})
	s.wantInvalid(t, "limit", &protocol.Request{Operation: "store.list", Location: client, Limit: protocol.MaxPage + 1})
}

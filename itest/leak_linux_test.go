package itest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/stronghold-go/stronghold/procedures/primitive"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
)

// TestNoSecretIsLeftInMemory brings known secrets to a real node, uses them
// thousands of times, and searches the memory of the node and of its zone from
// outside, as root, for whatever would give one away. Only the zone's guarded
// arena may hold it, which the kernel does not let anybody read.
//
// As an ordinary user it searches what such a user can read: the node.
func TestNoSecretIsLeftInMemory(t *testing.T) {
	needMemory(t)
	h := newHunt(t)
	h.bringSecrets()

	for _, when := range []struct {
		name       string
		signatures int
		storm      func(ctx context.Context, h *hunt) (what string)
	}{
		{"calm", 2000, nil},
		{"after a storm of collections", 400, collectionStorm},
		{"after a storm of signals", 800, signalStorm},
	} {
		if when.storm != nil && !h.root {
			continue // there is no zone to be searched
		}
		ctx, stop := context.WithCancel(t.Context())
		var storm sync.WaitGroup
		if when.storm != nil {
			storm.Go(func() { t.Logf("%s: %s", when.name, when.storm(ctx, h)) })
		}
		h.useSecrets(when.name, when.signatures)
		stop()
		storm.Wait()
		h.search(when.name)
	}
	h.save()
	h.search("saved")
	h.refusals()

	if err := h.c.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if old := h.zone; alive(old) {
		t.Errorf("the zone goes on after lock")
	}
	h.zone = zonePID(t, h.c)
	h.search("locked")
	h.terminate()
}

// needMemory skips where the search could not be done.
func needMemory(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("the race detector's shadow memory in this process is larger than the machine's")
	}
}

// A hunt is a node, and what must not be found.
type hunt struct {
	t    *testing.T
	p    *process
	c    protocol.Client
	zone int
	root bool

	secrets *fragments

	program []byte // the file
	typed   string // the passphrase of the snapshot
	mwords  string // of the mnemonic
	mpass   string // its passphrase
	seed    []byte // of the mnemonic
	raw     []byte // a seed
	key     []byte // a seed of an Ed25519 key

	signers []signer
	signed  atomic.Int64
}

// A signer is a key in the node of which the seed is known here.
type signer struct {
	name string
	loc  *protocol.Location
	seed []byte
}

// newHunt starts a node with a passphrase that is known here only, and shows that
// the search finds what there is to be found.
func newHunt(t *testing.T) *hunt {
	h := &hunt{t: t, root: os.Geteuid() == 0, secrets: newFragments()}
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	bin, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	if h.program, err = os.ReadFile(bin); err != nil {
		t.Fatal(err)
	}
	h.typed = hex.EncodeToString(random(24))
	h.secrets.addHMAC("passphrase", []byte(h.typed))
	h.mpass, h.raw, h.key = hex.EncodeToString(random(12)), random(64), random(32)
	entropy := random(32)
	words, err := primitive.English.Mnemonic(make([]byte, 0, primitive.MaxMnemonicSize), entropy)
	if err != nil {
		t.Fatal(err)
	}
	h.mwords = string(words)
	if h.seed, err = pbkdf2.Key(sha512.New, h.mwords, []byte("mnemonic"+h.mpass), 2048, 64); err != nil {
		t.Fatal(err)
	}
	s := h.secrets
	s.addText("mnemonic", h.mwords, h.program)
	s.add("entropy of the mnemonic", entropy)
	s.add("passphrase of the mnemonic", []byte(h.mpass))
	hashed := sha512.Sum512(words)
	s.addHMAC("hashed mnemonic", hashed[:])
	s.add("seed of the mnemonic", h.seed)
	s.add("seed", h.raw)
	s.addKey("imported key", h.key)

	wantFound(t, s, [8]byte(h.key[8:]))
	home := filepath.Join(t.TempDir(), "home")
	file := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(file, []byte(h.typed), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), bin, "--home", home, "init", "--cost", "17", "--passphrase-file", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.p = run(t, home, "--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-file", file)
	h.c = h.p.dial(t)
	h.zone = zonePID(t, h.c)
	h.addFileKeys()
	return h
}

// addFileKeys adds the root key of the snapshot, and what is derived from it.
func (h *hunt) addFileKeys() {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.p.home, "vault.stronghold"))
	if err != nil {
		h.t.Fatal(err)
	}
	in := bytes.NewReader(b)
	header, _, err := snapshot.ReadHeader(in)
	if err != nil {
		h.t.Fatal(err)
	}
	lock, err := age.NewScryptIdentity(h.typed)
	if err != nil {
		h.t.Fatal(err)
	}
	open := func(file []byte, id age.Identity) []byte {
		r, err := age.Decrypt(bytes.NewReader(file), id)
		if err != nil {
			h.t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			h.t.Fatal(err)
		}
		return b
	}
	own := open(header.Slots[0].Lock, lock)
	h.secrets.add("a slot's identity", own)
	identity, err := age.ParseHybridIdentity(string(own))
	if err != nil {
		h.t.Fatal(err)
	}
	root := open(header.Slots[0].Wrap, identity)
	if len(root) != 32 {
		h.t.Fatalf("a root key of %d bytes", len(root))
	}
	h.secrets.addHMAC("root key", root)
	for _, name := range []string{"records", "header", "index"} {
		pseudorandom, err := hkdf.Extract(sha256.New, root, header.FileID[:])
		if err != nil {
			h.t.Fatal(err)
		}
		h.secrets.addHMAC(name+" key, extracted", pseudorandom)
		key, err := hkdf.Expand(sha256.New, pseudorandom, "stronghold/4 "+name+"\x00", 32)
		if err != nil {
			h.t.Fatal(err)
		}
		h.secrets.add(name+" key", key)
		if name != "records" {
			continue
		}
		// What it seals in the header is the key that all records lie under.
		aead, err := chacha20poly1305.New(key)
		if err != nil {
			h.t.Fatal(err)
		}
		end := len(b) - in.Len() - 32
		records, err := aead.Open(nil, make([]byte, 12), b[end-48:end], nil)
		if err != nil {
			h.t.Fatal(err)
		}
		h.secrets.add("key of records", records)
	}
}

func (h *hunt) at(record string) *protocol.Location {
	return &protocol.Location{Client: []byte("hunt"), Vault: []byte("v"), Record: []byte(record)}
}

func (h *hunt) do(req *protocol.Request) *protocol.Response {
	h.t.Helper()
	resp, err := h.c.Do(h.t.Context(), req)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp
}

// seal seals the words and the passphrase of a mnemonic into a request.
func (h *hunt) seal(req *protocol.Request, words, passphrase string) *protocol.Request {
	h.t.Helper()
	req.Id = protocol.NewID()
	zone := h.do(&protocol.Request{Operation: "zone.key", Location: req.Location})
	seal := func(field, text string) []byte {
		b, err := protocol.Seal(zone.PublicKey, req, field, protocol.ToZone, []byte(text))
		if err != nil {
			h.t.Fatal(err)
		}
		return b
	}
	if words != "" {
		req.Secret = seal("secret", words)
	}
	req.Passphrase = seal("passphrase", passphrase)
	return req
}

// bringSecrets imports an Ed25519 key, a seed and a mnemonic, and has one made.
func (h *hunt) bringSecrets() {
	t := h.t
	t.Helper()
	public, err := h.c.ImportKey(t.Context(), h.at("key"), protocol.Ed25519, h.key, false)
	if err != nil || !bytes.Equal(public, ed25519.NewKeyFromSeed(h.key)[32:]) {
		t.Fatalf("public key %x, %v", public, err)
	}
	h.signers = append(h.signers, signer{"imported key", h.at("key"), h.key})
	if _, err := h.c.ImportKey(t.Context(), h.at("seed"), protocol.Seed, h.raw, false); err != nil {
		t.Fatal(err)
	}
	h.do(h.seal(&protocol.Request{Operation: "bip39.recover", Location: h.at("mnemonic")}, h.mwords, h.mpass))

	reply, err := protocol.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	made := h.seal(&protocol.Request{Operation: "bip39.generate", Location: h.at("made"), ReplyKey: reply.Public()}, "", h.mpass)
	words, err := protocol.Open(reply, made, "reply_key", protocol.ToAsker, h.do(made).Sealed)
	if err != nil {
		t.Fatal(err)
	}
	h.secrets.addText("made mnemonic", string(words), h.program)
	entropy, err := primitive.English.Entropy(make([]byte, 0, primitive.MaxEntropySize), words)
	if err != nil {
		t.Fatal(err)
	}
	h.secrets.add("entropy of the made mnemonic", entropy)
	seed, err := pbkdf2.Key(sha512.New, string(words), []byte("mnemonic"+h.mpass), 2048, 64)
	if err != nil {
		t.Fatal(err)
	}
	h.secrets.add("seed of the made mnemonic", seed)
	h.derive("from the made mnemonic", "made", seed, 44, 1)
}

// derive has a key derived, and adds all that is on the way to it.
func (h *hunt) derive(name, from string, seed []byte, path ...uint32) {
	h.t.Helper()
	text := "m"
	for _, index := range path {
		text += fmt.Sprintf("/%d'", index)
	}
	to := h.at(fmt.Sprintf("%s %s", from, text))
	leaf := h.secrets.addPath(name, seed, path...)
	resp := h.do(derive(h.at(from), to, text))
	if !bytes.Equal(resp.PublicKey, ed25519.NewKeyFromSeed(leaf[:32])[32:]) {
		h.t.Fatalf("derived %x along %s", resp.PublicKey, text)
	}
	h.signers = append(h.signers, signer{name + " " + text, to, slices.Clone(leaf[:32])})
}

// useSecrets derives keys, signs n messages with all keys there are, and writes to
// the store.
func (h *hunt) useSecrets(when string, n int) {
	t := h.t
	t.Helper()
	round := uint32(h.signed.Load())
	for i := range uint32(8) {
		h.derive("from the seed", "seed", h.raw, 44, 4218, round, i)
		h.derive("from the mnemonic", "mnemonic", h.seed, 44, round, i)
	}
	const callers = 4
	var all sync.WaitGroup
	var mu sync.Mutex
	for caller := range callers {
		c := h.p.dial(t)
		all.Go(func() {
			for i := range n / callers {
				s := h.signers[(caller+i*callers)%len(h.signers)]
				message := fmt.Appendf(nil, "%s: message %d of caller %d", when, i, caller)
				sig, err := c.Sign(t.Context(), s.loc, message)
				if err != nil || !ed25519.Verify(ed25519.PublicKey(ed25519.NewKeyFromSeed(s.seed)[32:]), message, sig) {
					t.Errorf("a signature %s: %v", when, err)
					return
				}
				mu.Lock()
				h.secrets.addNonce("nonce of "+s.name, s.seed, message)
				mu.Unlock()
				h.signed.Add(1)
			}
		})
	}
	all.Wait()
	h.do(&protocol.Request{Operation: "store.put", Location: &protocol.Location{Client: []byte("hunt"), Vault: []byte("value " + when)},
		Value: []byte("not a secret")})
}

// search looks at the memory of all processes of the node.
func (h *hunt) search(when string) {
	t := h.t
	t.Helper()
	report := func(who string, found []string) {
		t.Helper()
		if len(found) > 0 {
			t.Errorf("%s: in the memory of %s: %d hits: %s", when, who, len(found), strings.Join(found[:min(20, len(found))], "\n"))
		}
	}
	if !h.root {
		for who, pid := range map[string]int{"node": h.p.cmd.Process.Pid, "zone": h.zone} {
			if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); !errors.Is(err, os.ErrPermission) {
				t.Errorf("the memory of the %s is open to its user: %v", who, err)
			}
		}
		return
	}
	report("the node", scan(t, h.p.cmd.Process.Pid, h.secrets))
	report("the zone", scan(t, h.zone, h.secrets))
	t.Logf("%s: %d fragments, %d signatures", when, len(h.secrets.pieces), h.signed.Load())
}

package itest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot/rust"
)

// pageScript is the commands below a heading of docs/from-rust.md.
func pageScript(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/from-rust.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	_, rest, ok2 := strings.Cut(section, "\n```sh\n")
	script, _, ok3 := strings.Cut(rest, "```")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("the page has no commands below %q", heading)
	}
	return script
}

// typePage types commands of the page into a shell, in a folder with these files,
// where a node runs and is unlocked. It returns the folder.
func typePage(t *testing.T, script string, files map[string][]byte) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the page is for a POSIX shell")
	}
	program, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	dir, home := t.TempDir(), newHome(t)
	files["home.password"], files["message.txt"] = []byte(passphrase+"\n"), []byte(pageMessage)
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unlock(t, run(t, home).dial(t).H)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SHNODE_HOME="+home, "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, b := range files {
		if now, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(now, b) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	return dir
}

const pageMessage = "a message to be signed"

// signedBy checks the signature that the page's commands have left.
func signedBy(t *testing.T, dir string, key ed25519.PrivateKey) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "message.sig"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(string(b)), base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(pageMessage))); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// plainSLIP10 is SLIP-0010 for Ed25519 as its text has it.
func plainSLIP10(seed []byte, path ...uint32) ed25519.PrivateKey {
	sum := func(key, data []byte) []byte {
		mac := hmac.New(sha512.New, key)
		mac.Write(data)
		return mac.Sum(nil)
	}
	i := sum([]byte("ed25519 seed"), seed)
	for _, n := range path {
		i = sum(i[32:], binary.BigEndian.AppendUint32(append([]byte{0}, i[:32]...), n+1<<31))
	}
	return ed25519.NewKeyFromSeed(i[:32])
}

// TestPageWallets runs the page's commands on real files, and then its way back.
// The mnemonics are those that the tests of iota-sdk name for these files.
func TestPageWallets(t *testing.T) {
	for _, tt := range []struct{ heading, file, password, mnemonic string }{
		{"A wallet of wallet.rs or Firefly", "v2.stronghold", "current_password", "winter spend artefact viable cigar pink easy charge " +
			"ranch license coyote cage brass mushroom repair game attack peanut glad rather cart obey famous chat"},
		{"A wallet of iota-sdk", "no_secret_manager_data.stronghold", "some_hopefully_secure_password", "inhale gorilla deny three celery " +
			"song category owner lottery rent author wealth penalty crawl hobby obtain glad warm early rain clutch slab august bleak"},
		{"A wallet of iota-sdk", "v3_wf19.stronghold", "STRONGHOLD_PASSWORD", "width scatter jaguar sponsor erosion enable cave since " +
			"ancient first garden royal luggage exchange ritual exotic play wall clinic ride autumn divert spin exchange"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join("../snapshot/rust/testdata", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			script := pageScript(t, tt.heading) + pageScript(t, "The way back")
			dir := typePage(t, script, map[string][]byte{"wallet.stronghold": file, "wallet.password": []byte(tt.password + "\n"), "back.password": []byte("new\n")})
			seed, err := pbkdf2.Key(sha512.New, tt.mnemonic, []byte("mnemonic"), 2048, 64) // BIP 39
			if err != nil {
				t.Fatal(err)
			}
			key := plainSLIP10(seed, 44, 4218, 0, 0, 0)
			signedBy(t, dir, key)

			back, err := os.ReadFile(filepath.Join(dir, "back.stronghold"))
			if err != nil {
				t.Fatal(err)
			}
			if st, err := os.Stat(filepath.Join(dir, "back.stronghold")); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("the file's mode is %v, %v", st.Mode(), err)
			}
			state, _, err := rust.OpenPassword(back, []byte("new"), nil, rust.KindSDK, rust.Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := map[rust.ID][]byte{}
			for _, c := range state.Clients {
				for _, v := range c.Vaults {
					for _, r := range v.Records {
						found[r.ID] = r.Secret
					}
				}
			}
			if got := found[rust.RecordID([]byte("iota-wallet-secret"), []byte("iota-wallet-seed"))]; !bytes.Equal(got, seed) {
				t.Errorf("the seed came back as %d bytes, other than it went", len(got))
			}
			if got := found[rust.RecordID([]byte("keys"), []byte("first"))]; !bytes.Equal(got, key.Seed()) {
				t.Errorf("the derived key came out as %d bytes, other than it is", len(got))
			}
		})
	}
}

// TestPageTauri runs the page's commands on a file such as an app with Tauri's
// plugin writes.
func TestPageTauri(t *testing.T) {
	salt, seed := bytes.Repeat([]byte{9}, 32), bytes.Repeat([]byte{3}, 32)
	at := func(vault, path string, secret []byte) rust.Record {
		return rust.Record{ID: rust.RecordID([]byte(vault), []byte(path)), Hint: []byte{0xff, 1}, Secret: secret}
	}
	keys := rust.Vault{ID: rust.VaultID([]byte("keys")), Records: []rust.Record{at("keys", "main", seed)}}
	for n := range uint64(8) {
		keys.Records = append(keys.Records, rust.Record{ID: rust.CounterID([]byte("keys"), n), Secret: seed, Revoked: n < 7})
	}
	state := &rust.State{Clients: []rust.Client{{
		ID:     rust.ClientID([]byte("my-app")),
		Vaults: []rust.Vault{keys, {ID: rust.VaultID([]byte("secrets")), Records: []rust.Record{at("secrets", "mnemonic", append(seed, seed...)), at("secrets", "other", seed)}}},
		Store:  []rust.Entry{{Key: []byte("greeting"), Value: []byte("hello"), Expires: time.Now().Add(time.Hour)}},
	}}}
	method := rust.Methods(rust.V3, rust.KindTauri)[0]
	key, err := method.Key([]byte("hunter2"), salt, rust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := rust.Encode(state, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	script := pageScript(t, "An app with Tauri's plugin") + "shnode key ls > listed\nshnode snapshot save\nshnode lock\n" +
		"shnode unlock --passphrase-file home.password\nshnode key ls > again\n"
	dir := typePage(t, script, map[string][]byte{"vault.hold": file, "salt.txt": salt, "vault.password": []byte("hunter2\n")})
	signedBy(t, dir, ed25519.NewKeyFromSeed(seed))
	if b, err := os.ReadFile(filepath.Join(dir, "greeting.txt")); err != nil || string(b) != "hello" {
		t.Errorf("the store gives %q, %v", b, err)
	}
	for _, name := range []string{"listed", "again"} { // what was named stays named
		listed, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		other := (&protocol.Location{Client: []byte("my-app"), Vault: []byte("secrets"), RecordId: idOf(rust.RecordID([]byte("secrets"), []byte("other")))}).Text()
		for _, want := range []string{"my-app/keys/main ", "my-app/keys/@7 ", "my-app/secrets/mnemonic ", other + " "} {
			if strings.Count(string(listed), "\n"+want) != 1 {
				t.Errorf("%s is not listed:\n%s", want, listed)
			}
		}
		if n := strings.Count(string(listed), "\n"); n != 5 {
			t.Errorf("%d lines:\n%s", n, listed)
		}
	}
}

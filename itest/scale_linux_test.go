package itest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// keyNumber is where filled puts key i.
func keyNumber(i int) *protocol.Location {
	return &protocol.Location{Client: []byte("c"), Vault: []byte("v"), Record: strconv.AppendInt([]byte("key-"), int64(i), 10)}
}

// filled puts a snapshot with n Ed25519 keys into a home, in place of its own, and
// returns their public half: they are one key, since what costs is how many there
// are. Its passphrase takes no time to hash.
func filled(t testing.TB, home string, n int) (public []byte) {
	t.Helper()
	arena, err := memory.NewArena(512 << 10)
	if err != nil {
		t.Fatal(err)
	}
	defer arena.Destroy()
	keys, err := snapshot.NewKeys(arena)
	if err != nil {
		t.Fatal(err)
	}
	own, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	lock.SetWorkFactor(1)
	var locked bytes.Buffer
	w, err := age.Encrypt(&locked, lock)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, own.String())
	w.Close()
	h, _, err := new(snapshot.Header).With(snapshot.Slot{Kind: snapshot.PassphraseSlot, Recipient: own.Recipient().String(), Lock: locked.Bytes()})
	if err == nil {
		h, err = keys.Wrap(h)
	}
	if err != nil {
		t.Fatal(err)
	}
	records, err := keys.Records()
	if err != nil {
		t.Fatal(err)
	}
	db := vault.New(arena, records, [8]byte{})
	made, err := procedures.GenerateKey(arena, vault.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	err = made.Secret.Use(func(secret []byte) error {
		for i := 0; i < n; {
			c, err := db.Stage(func(tx *vault.Tx) error {
				for range min(1000, n-i) {
					l := keyNumber(i)
					v := vault.Value{Kind: vault.Ed25519, Flags: vault.Sign, Secret: secret}
					if _, err := tx.Put(vault.At(l.Client, l.Vault, l.Record), v, false); err != nil {
						return err
					}
					i++
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := db.Commit(c.Sequence); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(home, "vault.stronghold"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := snapshot.Write(f, keys, h, db.Freeze(), nil); err != nil {
		t.Fatal(err)
	}
	return made.Public
}

// TestManyKeysInLittleLockedMemory: a hundred thousand keys, of a user who may lock 8 MiB.
func TestManyKeysInLittleLockedMemory(t *testing.T) {
	n := 100_000
	if raceDetector {
		n = 1000
	}
	home := newHome(t)
	public := filled(t, home, n)
	by := []string{"prlimit", "--memlock=8388608:8388608"}
	if os.Getuid() == 0 { // who may lock what he likes
		by = append(by, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
		if err := filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(path, 65534, 65534)
		}); err != nil {
			t.Fatal(err)
		}
		for dir := filepath.Dir(home); dir != os.TempDir() && len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(scratch, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p, ready := launchBy(t, by, home)
	if !<-ready {
		<-p.done
		t.Fatalf("the node did not start: %s", &p.out)
	}
	program, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(stdin string, args ...string) string {
		t.Helper()
		line := append(append(by[:len(by):len(by)], program, "--home", home), args...)
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Dir = filepath.Dir(home)
		cmd.Stdin = strings.NewReader(stdin)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, &said)
		}
		return strings.TrimSpace(string(out))
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil || !bytes.Contains(bytes.Join(bytes.Fields(limits), []byte(" ")), []byte("Max locked memory 8388608 8388608")) {
		t.Fatalf("the node's limits: %s, %v", limits, err)
	}
	ask(passphrase, "unlock", "--passphrase-file", "-", "--accept-older") // the home has not seen this file
	for _, i := range []int{0, mathrand.IntN(n), n - 1} {
		sig := ask("a message", "sign", keyNumber(i).Text())
		ask("a message", "verify", "--public-key", base64.StdEncoding.EncodeToString(public), "--signature", sig)
	}
	ask("", "key", "generate", "c/v/one-more", "--type", "ed25519")
	ask("a message", "sign", "c/v/one-more")
}

// resident is a process's memory, in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// many is what a node with n keys takes: to open them, without the password hash,
// and in memory when it has signed with some thousands of them.
func many(b *testing.B, n int) (opening time.Duration, node, zone int) {
	home := newHome(b)
	filled(b, home, n)
	p := run(b, home)
	c := p.dial(b)
	start := time.Now()
	if err := c.UnlockWith(b.Context(), []byte(passphrase), protocol.UnlockOptions{AcceptOlder: true}); err != nil {
		b.Fatal(err)
	}
	opening = time.Since(start)
	message := make([]byte, 32)
	var asked []<-chan protocol.Result
	for range 20_000 {
		asked = append(asked, c.Go(b.Context(), &protocol.Request{Operation: "ed25519.sign", Location: keyNumber(mathrand.IntN(n)), Message: message}))
		if len(asked) == 16 {
			for _, a := range asked {
				if r := <-a; r.Err != nil {
					b.Fatal(r.Err)
				}
			}
			asked = asked[:0]
		}
	}
	status, err := c.Status(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	node, zone = resident(b, p.cmd.Process.Pid), resident(b, int(status.Zone.Pid))
	p.cmd.Process.Kill()
	<-p.done
	return opening, node, zone
}

// What ten thousand and a million keys take beside one.
func BenchmarkMany(b *testing.B) {
	opening, _, empty := many(b, 1)
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			for b.Loop() {
				took, node, zone := many(b, n)
				b.ReportMetric(float64((took - opening).Milliseconds()), "ms-to-open")
				b.ReportMetric(float64(node+zone)/(1<<20), "MiB-node+zone")
				b.ReportMetric(float64(zone)/(1<<20), "MiB-zone")
				b.ReportMetric(float64(zone-empty)/float64(n), "B/key-in-zone")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

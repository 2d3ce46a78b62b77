package itest

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

// TestNoSecretIsLeftInMemory brings a known seed to a real node, has it sign a
// thousand times, and searches the memory of the node and of its zone from
// outside, as root, for whatever would give the seed away. Only the zone's
// guarded arena may hold it, which the kernel does not let anybody read.
func TestNoSecretIsLeftInMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root reads the memory of a process that is not dumpable")
	}
	if raceDetector {
		t.Skip("the race detector's shadow memory in this process is larger than the machine's")
	}
	seed, passphrase := make([]byte, 32), make([]byte, 24)
	rand.Read(seed)
	rand.Read(passphrase)
	secrets, password := fragments{}, fragments{}
	secrets.addKey(seed)
	typed := hex.EncodeToString(passphrase)
	password.add("passphrase", []byte(typed))

	// A scan that finds nothing must have been able to find something.
	if found := scan(t, os.Getpid(), secrets); len(found) == 0 {
		t.Fatal("the scan does not find the secrets in the process that holds them")
	}

	bin := filepath.Join(t.TempDir(), "shnode")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/shnode")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // with the real filter and arena
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	home := filepath.Join(t.TempDir(), "home")
	file := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(file, []byte(typed), 0o600); err != nil {
		t.Fatal(err)
	}
	shnode := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), bin, append([]string{"--home", home}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("shnode %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	shnode("", "init", "--cost", "17", "--passphrase-file", file)
	var logged bytes.Buffer
	node := exec.CommandContext(t.Context(), bin, "--home", home, "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-file", file)
	node.Stderr = &logged
	node.Cancel = func() error { return node.Process.Signal(syscall.SIGTERM) }
	node.WaitDelay = 20 * time.Second
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready ") {
		t.Fatalf("%q %v\n%s", line, err, logged.String())
	}
	conn, err := control.Dial(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	client := protocol.Client{H: conn}

	public, err := base64.StdEncoding.DecodeString(shnode(string(seed), "key", "import", "wallet/keys/known", "--type", "ed25519", "-"))
	if err != nil || !bytes.Equal(public, ed25519.NewKeyFromSeed(seed)[32:]) {
		t.Fatalf("public key %x, %v", public, err)
	}
	loc, err := protocol.ParseLocation("wallet/keys/known")
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("a message, not a secret")
	for i := range 1000 {
		sig, err := client.Sign(t.Context(), loc, message)
		if err != nil || !ed25519.Verify(public, message, sig) {
			t.Fatalf("signature %d: %v", i, err)
		}
		if i == 0 {
			secrets.addNonce(seed, message)
		}
	}
	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	zone := int(status.Zone.Pid)
	if found := scan(t, zone, secrets); len(found) > 0 {
		t.Errorf("in the memory of the zone: %d hits: %s", len(found), strings.Join(found[:min(20, len(found))], ", "))
	}
	// The library that hashes the passphrase copies it. It stays in the zone, whose memory nobody reads, until lock ends it.
	t.Logf("in the memory of the zone, until lock: %d pieces of the passphrase", len(scan(t, zone, password)))
	for piece, name := range password {
		secrets[piece] = name
	}
	if found := scan(t, node.Process.Pid, secrets); len(found) > 0 {
		t.Errorf("in the memory of the node: %d hits: %s", len(found), strings.Join(found[:min(20, len(found))], ", "))
	}

	shnode("", "lock")
	if found := scan(t, node.Process.Pid, secrets); len(found) > 0 {
		t.Errorf("in the memory of the locked node: %v", found)
	}
	if status, err = client.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := scan(t, int(status.Zone.Pid), secrets); len(found) > 0 {
		t.Errorf("in the memory of the zone after lock: %v", found)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("%v\n%s", err, logged.String())
	}
	if found := secrets.in(logged.Bytes()); len(found) > 0 {
		t.Errorf("in the log: %v", found)
	}
	files, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%v %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := secrets.in(b); len(found) > 0 {
			t.Errorf("in %s: %v", filepath.Base(name), found)
		}
	}
}

// fragments are 8-byte pieces of secrets, each also byte-swapped, and what they are of.
type fragments map[[8]byte]string

// add takes every aligned piece, and every one at an offset of 4: code copies words.
func (f fragments) add(name string, secret []byte) {
	for i := 0; i+8 <= len(secret); i += 4 {
		piece := [8]byte(secret[i:])
		f[piece] = fmt.Sprintf("%s[%d:]", name, i)
		slices.Reverse(piece[:])
		f[piece] = fmt.Sprintf("%s[%d:] swapped", name, i)
	}
}

// addKey adds what an Ed25519 seed becomes (RFC 8032, section 5.1.5).
func (f fragments) addKey(seed []byte) {
	h := sha512.Sum512(seed)
	f.add("seed", seed)
	f.add("hashed seed", h[:32])
	f.add("prefix", h[32:])
	clamped := slices.Clone(h[:32])
	clamped[0] &= 248
	clamped[31] = clamped[31]&63 | 64
	f.add("clamped scalar", clamped)
	s, err := new(edwards25519.Scalar).SetBytesWithClamping(h[:32])
	if err != nil {
		panic(err)
	}
	f.add("scalar", s.Bytes())
}

// addNonce adds the nonce of the signature of a message: with it, the signature gives the key away.
func (f fragments) addNonce(seed, message []byte) {
	h := sha512.Sum512(seed)
	digest := sha512.Sum512(append(slices.Clone(h[32:]), message...))
	r, err := new(edwards25519.Scalar).SetUniformBytes(digest[:])
	if err != nil {
		panic(err)
	}
	f.add("nonce digest", digest[:])
	f.add("nonce", r.Bytes())
}

// in returns what of the secrets is in b, at any offset.
func (f fragments) in(b []byte) (found []string) {
	// The first byte sorts out nearly everything, at a third of the price.
	var first [256]bool
	for piece := range f {
		first[piece[0]] = true
	}
	for i := 0; i+8 <= len(b); i++ {
		if first[b[i]] {
			if name, ok := f[[8]byte(b[i:])]; ok {
				found = append(found, name)
			}
		}
	}
	return found
}

// scan searches all of a process's memory that its kernel lets root read.
func scan(t *testing.T, pid int, secrets fragments) (found []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var read int64
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		// What cannot be written is the program.
		if !strings.HasPrefix(rights, "rw") || strings.Contains(line, "[vvar]") {
			continue
		}
		b, err := io.ReadAll(io.NewSectionReader(mem, int64(from), int64(to-from)))
		if err != nil {
			// The arena of memfd_secret gives EIO. Everything else must be readable.
			if !strings.Contains(line, "secretmem") {
				t.Fatalf("%v: %s", err, line)
			}
			continue
		}
		read += int64(len(b))
		for _, name := range secrets.in(b) {
			found = append(found, fmt.Sprintf("%s in %s", name, strings.TrimSpace(line)))
		}
	}
	if read < 1<<20 {
		t.Fatalf("only %d bytes of process %d could be read", read, pid)
	}
	return found
}

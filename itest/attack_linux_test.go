package itest

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/stronghold-go/stronghold/node"
	"github.com/stronghold-go/stronghold/protocol"
)

// The tests TestAttack… show what a peer can do to others who is permitted something:
// next to nothing. Each has the owner of the node and an honest peer beside the attacker,
// who speaks libp2p without any of the care that a node of ours takes. They ask the
// built program, or another one (-shnode).

var long = flag.Bool("long", false, "attack for minutes, and hold what honest peers notice to the strict bound")

// longer is how long or how many something is in a short run, and in a long one.
func longer[T any](short, full T) T {
	if *long {
		return full
	}
	return short
}

// A house is a node that is attacked.
type house struct {
	*process
	owner      protocol.Client
	passphrase string // a file
	addr       string // with the node's id
}

// firstHouse is a home that the program has made; each test has a copy.
var firstHouse = sync.OnceValues(func() (string, error) {
	path, err := shnode()
	if err != nil {
		return "", err
	}
	return makeHouse(path, filepath.Join(scratch, "house"))
})

// makeHouse has a program make a home in a folder, beside its passphrase.
func makeHouse(path, dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "passphrase"), []byte(passphrase), 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command(path, "--home", filepath.Join(dir, "home"), "init", "--passphrase-file", filepath.Join(dir, "passphrase"), "--cost", "17").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("init: %w: %s", err, out)
	}
	return dir, nil
}

// newHouse runs a node that knows an honest peer, who may sign with wallet/keys/main and
// make keys beside it, and guests, who may do what allow says.
func newHouse(t testing.TB, guests map[string]*guest, allow string, args ...string) *house {
	t.Helper()
	if raceDetector {
		t.Skip("what is attacked is another process, and this one would only be slow")
	}
	first, err := firstHouse()
	if err != nil {
		t.Fatal(err)
	}
	path, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	return newHouseOf(t, path, first, guests, allow, args...)
}

// newHouseOf is newHouse by any program, in a copy of the home that it has made.
func newHouseOf(t testing.TB, program, first string, guests map[string]*guest, allow string, args ...string) *house {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	h := &house{passphrase: filepath.Join(dir, "passphrase")}
	home := filepath.Join(dir, "home")
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // as CopyFS leaves others some rights
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	p, ready := launchProgram(t, []string{program}, home, append([]string{"--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-file", h.passphrase}, args...)...)
	h.process = p.begun(t, ready)
	h.owner = h.dial(t)
	st, err := h.owner.Status(t.Context())
	if err != nil || len(st.Addresses) == 0 {
		t.Fatalf("the status of the node: %v, %v", st, err)
	}
	if h.addr = st.Addresses[0]; !strings.Contains(h.addr, "/p2p/") {
		h.addr += "/p2p/" + st.PeerId
	}
	h.must(t, &protocol.Request{Operation: "key.generate", Location: at("wallet/keys/main"), Kind: protocol.Ed25519})
	for name, g := range guests {
		g.addr = h.addr
		h.must(t, &protocol.Request{Operation: "peer.add", Name: name, Address: g.id.String()})
	}
	h.must(t, &protocol.Request{Operation: "policy.apply", Text: honestPolicy + allow})
	return h
}

const honestPolicy = `
[[allow]]
peers = ["honest"]
ops = ["ed25519.sign", "key.generate"]
on = ["wallet/**"]
`

// guestPolicy lets mallory, or all whose names are in it, do what there is to do in a place of his own.
const guestPolicy = `
[[allow]]
peers = ["mallory"]
ops = ["use", "write", "list", "store-read", "store-write"]
on = ["inbox/**"]
`

// must has the owner do something.
func (h *house) must(t testing.TB, req *protocol.Request) *protocol.Response {
	t.Helper()
	resp, err := h.owner.Do(t.Context(), req)
	if err != nil {
		t.Fatalf("the owner: %v", err)
	}
	return resp
}

// command runs the program on the home, and returns its exit code and what it says. It is
// killed if it takes too long: -1.
func (h *house) command(t testing.TB, args ...string) (int, string) {
	t.Helper()
	path, err := shnode()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"--home", h.home}, args...)...)
	cmd.WaitDelay = time.Second // a child that hashes may hold the pipe
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// reopens locks the node and unlocks it: what was acknowledged must be there.
func (h *house) reopens(t testing.TB) {
	t.Helper()
	h.must(t, &protocol.Request{Operation: "node.lock"})
	if err := h.owner.Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatalf("unlocking: %v", err)
	}
	h.must(t, &protocol.Request{Operation: "ed25519.sign", Location: at("wallet/keys/main"), Message: []byte("m")})
}

// memory is how much the node and its zone have resident, in MiB.
func (h *house) memory(t testing.TB) int {
	t.Helper()
	return (resident(t, h.cmd.Process.Pid) + resident(t, zonePID(t, h.owner))) >> 20
}

func at(text string) *protocol.Location {
	loc, err := protocol.ParseLocation(text)
	if err != nil {
		panic(err)
	}
	return loc
}

// A guest is a peer by libp2p alone.
type guest struct {
	key  []byte
	id   peer.ID
	addr string // of the house
	host host.Host
}

func newGuest(t testing.TB) *guest {
	t.Helper()
	key, err := node.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id, err := node.PeerID(key)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{key: key}
	if g.id, err = peer.Decode(id); err != nil {
		t.Fatal(err)
	}
	if g.host, err = rawHost(key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.host.Close() })
	return g
}

// rawHost limits nothing.
func rawHost(key []byte) (host.Host, error) {
	private, err := crypto.UnmarshalPrivateKey(key)
	if err != nil {
		return nil, err
	}
	mux := *yamux.DefaultTransport
	return libp2p.New(libp2p.Identity(private), libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, &mux), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
}

// stream opens another stream to the house.
func (g *guest) stream(ctx context.Context) (network.Stream, error) {
	info, err := peer.AddrInfoFromString(g.addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := g.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	return g.host.NewStream(ctx, info.ID, protocol.ID)
}

// client asks over a stream of its own.
func (g *guest) client(t testing.TB) protocol.Client {
	t.Helper()
	s, err := g.stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn := protocol.NewConn(s)
	t.Cleanup(func() { conn.Close() })
	return protocol.Client{H: conn}
}

// guests are an honest one and as many attackers as there are names.
func guests(t testing.TB, names ...string) map[string]*guest {
	t.Helper()
	all := map[string]*guest{"honest": newGuest(t)}
	for _, name := range names {
		all[name] = newGuest(t)
	}
	return all
}

// An assault is what an attacker does, in a process of its own.
type assault struct {
	Addr      string
	Key       []byte
	Kind      string // of assaultKinds
	Streams   int
	InFlight  int // of each stream
	TimeoutMs uint32
	Count     int64 // requests; 0: until it is stopped
	Aside     bool  // he takes only what the processors have left
}

// A tally is what came of an assault.
type tally struct {
	Sent, Answered int64
	Statuses       map[string]int64
	Failed         string // why nothing more could be asked
}

// refused is how many requests got another answer than OK.
func (y tally) refused() int64 { return y.Answered - y.Statuses["ok"] }

// A raid is an assault under way.
type raid struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   hearsay
}

// hearsay is what an attacker prints. begun is closed with the first of it.
type hearsay struct {
	told  bytes.Buffer
	begun chan struct{}
	once  sync.Once
}

func (h *hearsay) Write(b []byte) (int, error) {
	h.once.Do(func() { close(h.begun) })
	return h.told.Write(b)
}

// attack has a guest attack, and returns when he has begun.
func (g *guest) attack(t testing.TB, a assault) *raid {
	t.Helper()
	a.Addr, a.Key = g.addr, g.key
	spec, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	r := &raid{cmd: exec.Command(os.Args[0]), out: hearsay{begun: make(chan struct{})}}
	r.cmd.Env = append(os.Environ(), assaultVariable+"="+string(spec))
	r.cmd.Stdout, r.cmd.Stderr = &r.out, os.Stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // see stepBack
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		r.cmd.Wait() // again, mostly
	})
	select {
	case <-r.out.begun:
	case <-time.After(time.Minute):
		t.Fatal("the attacker does not begin")
	}
	return r
}

// stop has the attacker hang up and tell what came of it.
func (r *raid) stop(t testing.TB) tally {
	t.Helper()
	r.stdin.Close()
	kill := time.AfterFunc(time.Minute, func() { r.cmd.Process.Kill() })
	defer kill.Stop()
	err := r.cmd.Wait()
	_, told, _ := bytes.Cut(r.out.told.Bytes(), []byte("\n"))
	var y tally
	if jsonErr := json.Unmarshal(told, &y); err != nil || jsonErr != nil {
		t.Fatalf("the attacker ends with %v and tells %q", err, told)
	}
	return y
}

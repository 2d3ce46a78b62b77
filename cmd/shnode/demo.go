package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

const (
	demoKey    = "demo/keys/release" // alice may sign with it
	demoOther  = "demo/keys/private" // and not with this one
	demoSigns  = 200                 // signatures that are timed
	demoPolicy = `[[allow]]
peers = ["alice"]
ops   = ["ed25519.sign"]
on    = ["` + demoKey + `"]
`
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "run two real nodes on this machine, end to end, in temporary homes; leaves nothing behind",
		Long: `demo makes two nodes, alice and bob, each a process of its own with its own zone.
bob's policy lets alice sign with one key. alice signs a file with it, over
libp2p; the signature is verified with Go's crypto/ed25519. She asks for what
she may not have and is denied; bob is locked, and she is told so. Each step is
the command that a person would type, with the answer that it really gave.`,
		Example: `  shnode demo
  shnode demo --json --quiet`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context())
		},
	}
}

// demoResult is `demo --json`. Each of the first three is what was seen.
type demoResult struct {
	Verified  bool    `json:"verified"` // crypto/ed25519 accepts the signature
	Denied    bool    `json:"denied"`   // exit 3, error "denied"
	Locked    bool    `json:"locked"`   // exit 6, error "locked"
	PublicKey string  `json:"public_key"`
	Signature string  `json:"signature"`
	RoundTrip float64 `json:"round_trip_ms"` // median of signatures, from alice's socket by bob's zone and back
	Seconds   float64 `json:"seconds"`       // the whole demo
}

func (a *app) demo(ctx context.Context) (err error) {
	started := time.Now()
	dir, err := os.MkdirTemp("", "shnode-demo-")
	if err != nil {
		return err
	}
	d := &demo{app: a, dir: dir}
	defer func() { err = errors.Join(err, d.end()) }()
	if err := d.play(ctx); err != nil {
		return err
	}
	if err := d.end(); err != nil {
		return err
	}
	r := &d.result
	r.Seconds = time.Since(started).Round(time.Millisecond).Seconds()
	d.tell("both nodes are stopped and their homes removed, after %.1f s", r.Seconds)
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	}
	if !r.Verified || !r.Denied || !r.Locked {
		if a.json {
			return answeredNo(exitFailed)
		}
		return failed("failed", "the demo did not go as it should", "please report what it printed")
	}
	if !a.json {
		fmt.Fprintln(a.stdout, "ok: verified, denied, locked")
	}
	return nil
}

// demo is the two nodes while they are there.
type demo struct {
	app        *app
	dir        string
	alice, bob *actor
	result     demoResult
}

// actor is one node of the demo.
type actor struct {
	name, home, passphraseFile string
	id, addr                   string // once it runs

	node *exec.Cmd
	log  *bytes.Buffer // its stderr
}

func (d *demo) tell(format string, v ...any) {
	if !d.app.quiet {
		fmt.Fprintf(d.app.stderr, format+"\n", v...)
	}
}

// end stops what runs and removes what was made. It may be called again.
func (d *demo) end() error {
	var errs []error
	for _, who := range []*actor{d.alice, d.bob} {
		if who != nil {
			errs = append(errs, who.stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) play(ctx context.Context) error {
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if err := d.sign(ctx); err != nil {
		return err
	}
	if err := d.measure(ctx); err != nil {
		return err
	}
	if err := d.ask(ctx, "alice asks bob to sign with another key", &d.result.Denied, exitDenied, "denied",
		"--peer", "bob", "sign", demoOther, d.file()); err != nil {
		return err
	}
	if _, err := d.bob.must(ctx, "lock"); err != nil {
		return err
	}
	d.tell("bob is locked: his zone ended, with every secret in it")
	return d.ask(ctx, "alice asks again for what she may have", &d.result.Locked, exitLocked, "locked",
		"--peer", "bob", "sign", demoKey, d.file())
}

// start makes both homes and starts both nodes, side by side.
func (d *demo) start(ctx context.Context) error {
	d.alice, d.bob = d.actor("alice"), d.actor("bob")
	both := make(chan error, 2)
	for _, who := range []*actor{d.alice, d.bob} {
		go func() { both <- who.start(ctx) }()
	}
	if err := errors.Join(<-both, <-both); err != nil {
		return err
	}
	d.tell("two homes: identity, policy and an encrypted snapshot each, under random passphrases")
	for _, who := range []*actor{d.alice, d.bob} {
		zone, err := who.zone(ctx)
		if err != nil {
			return err
		}
		d.tell("%s runs: process %d, %s, peer %s", who.name, who.node.Process.Pid, zone, who.id)
	}
	return nil
}

func (d *demo) actor(name string) *actor {
	return &actor{name: name, home: filepath.Join(d.dir, name), passphraseFile: filepath.Join(d.dir, name+".passphrase")}
}

// prepare makes the nodes know each other, and gives bob two keys and a policy.
func (d *demo) prepare(ctx context.Context) error {
	if _, err := d.alice.must(ctx, "peer", "add", "bob", d.bob.addr); err != nil {
		return err
	}
	if _, err := d.bob.must(ctx, "peer", "add", "alice", d.alice.addr); err != nil {
		return err
	}
	for _, loc := range []string{demoKey, demoOther} {
		if _, err := d.bob.must(ctx, "key", "generate", loc, "--type", protocol.Ed25519); err != nil {
			return err
		}
	}
	policy := filepath.Join(d.dir, "policy.toml")
	if err := os.WriteFile(policy, []byte(demoPolicy), 0o600); err != nil {
		return err
	}
	if _, err := d.bob.must(ctx, "policy", "apply", policy); err != nil {
		return err
	}
	d.tell("bob made two keys in his zone; his policy lets alice sign with %s, and nothing else", demoKey)
	return nil
}

// file is what alice wants signed.
func (d *demo) file() string { return filepath.Join(d.dir, "letter.txt") }

// sign has alice sign the file with bob's key, and verifies.
func (d *demo) sign(ctx context.Context) error {
	letter := []byte("signed by a key that never left bob's zone: " + rand.Text() + "\n")
	if err := os.WriteFile(d.file(), letter, 0o600); err != nil {
		return err
	}
	// From bob himself: what alice brings back is held against what he says.
	key, err := d.bob.must(ctx, "key", "public", demoKey)
	if err != nil {
		return err
	}
	signed, err := d.alice.must(ctx, "--peer", "bob", "sign", demoKey, d.file())
	if err != nil {
		return err
	}
	d.result.PublicKey, d.result.Signature = key.PublicKey, signed.Signature
	public, err := base64.StdEncoding.DecodeString(key.PublicKey)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return failed("failed", "bob's public key is not one", "")
	}
	signature, err := base64.StdEncoding.DecodeString(signed.Signature)
	if err != nil {
		return failed("failed", "alice's signature is not one", "")
	}
	d.result.Verified = ed25519.Verify(public, letter, signature)
	d.tell("alice asks bob to sign a file, by libp2p: crypto/ed25519 says the signature is %s", validity(d.result.Verified))
	return nil
}

func validity(ok bool) string {
	if ok {
		return "valid"
	}
	return "NOT valid"
}

// measure times signatures one after the other, over one connection to alice.
func (d *demo) measure(ctx context.Context) error {
	loc, err := protocol.ParseLocation(demoKey)
	if err != nil {
		return err
	}
	conn, err := control.Dial(ctx, d.alice.home)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := protocol.Client{H: asker{conn, "bob", d.app.timeout}}
	times := make([]time.Duration, demoSigns)
	for i := range times {
		start := time.Now()
		if _, err := c.Sign(ctx, loc, []byte("once more")); err != nil {
			return err
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	median := times[len(times)/2]
	d.result.RoundTrip = float64(median.Microseconds()) / 1000
	d.tell("%d more, one after the other: the median took %s, through alice's socket, libp2p and bob's zone and back",
		demoSigns, median.Round(time.Microsecond))
	return nil
}

// ask has alice ask for something, and notes in seen whether she was refused in
// the way that she should be.
func (d *demo) ask(ctx context.Context, story string, seen *bool, exit int, code string, args ...string) error {
	answer, got, err := d.alice.do(ctx, args...)
	if err != nil {
		return err
	}
	*seen = got == exit && answer.Error.Code == code
	if got == exitDone {
		d.tell("%s, and was NOT refused", story)
	} else {
		d.tell("%s: exit code %d, %q", story, got, answer.Error.Message)
	}
	return nil
}

// answer is what the commands of the demo print with --json.
type answer struct {
	PublicKey string `json:"public_key"`
	Signature string `json:"signature"`
	Zone      struct {
		PID    int
		Layers []layerJSON
	}
	Error struct{ Code, Message string }
}

// do runs a command on the actor's home, as a process.
func (w *actor) do(ctx context.Context, args ...string) (*answer, int, error) {
	cmd, err := w.command(ctx, append([]string{"--json"}, args...)...)
	if err != nil {
		return nil, 0, err
	}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return nil, 0, err
	}
	a := new(answer)
	if len(out) > 0 {
		if err := json.Unmarshal(out, a); err != nil {
			return nil, 0, fmt.Errorf("%s: `shnode %s` printed no JSON: %w", w.name, strings.Join(args, " "), err)
		}
	}
	return a, cmd.ProcessState.ExitCode(), nil
}

// must is do for what has to succeed.
func (w *actor) must(ctx context.Context, args ...string) (*answer, error) {
	a, exit, err := w.do(ctx, args...)
	if err == nil && exit != exitDone {
		err = fmt.Errorf("%s: `shnode %s`: exit code %d: %s", w.name, strings.Join(args, " "), exit, a.Error.Message)
	}
	return a, err
}

// command is a command on the actor's home. Nothing of this process's own
// settings reaches it.
func (w *actor) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	cmd, err := self(ctx, append([]string{"--home", w.home}, args...)...)
	if err != nil {
		return nil, err
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SHNODE_") })
	return cmd, nil
}

// start makes the actor's home and runs its node.
func (w *actor) start(ctx context.Context) error {
	if err := w.makeHome(ctx); err != nil {
		return err
	}
	return w.run(ctx)
}

func (w *actor) makeHome(ctx context.Context) error {
	secret := make([]byte, 32)
	rand.Read(secret)
	if err := os.WriteFile(w.passphraseFile, hex.AppendEncode(nil, secret), 0o600); err != nil {
		return err
	}
	_, err := w.must(ctx, "init", "--passphrase-file", w.passphraseFile, "--cost", fmt.Sprint(minCost))
	return err
}

// run starts the node and returns when it is ready. The node outlives ctx, so
// that it is stopped in one place.
func (w *actor) run(ctx context.Context) error {
	cmd, err := w.command(context.WithoutCancel(ctx), "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-file", w.passphraseFile)
	if err != nil {
		return err
	}
	w.log = new(bytes.Buffer)
	cmd.Stderr = w.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.node = cmd
	line, err := await(ctx, func() ([]byte, error) { return bufio.NewReader(out).ReadBytes('\n') })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		_, err = fmt.Sscanf(string(line), "ready peer=%s addr=%s\n", &w.id, &w.addr)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: no ready line: %w", w.name, err)
	}
	if err != nil {
		w.stop()
		return fmt.Errorf("%s did not start: %s", w.name, bytes.TrimSpace(w.log.Bytes()))
	}
	return nil
}

// stop ends the node in good order, or by force if it does not end.
func (w *actor) stop() error {
	if w.node == nil {
		return nil
	}
	cmd := w.node
	w.node = nil
	if err := cmd.Cancel(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() })
	defer kill.Stop()
	err := cmd.Wait()
	// Ctrl-C at a terminal reaches the nodes too: to them that is an end in good order.
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitInterrupted {
		return nil
	} else if errors.As(err, &exit) {
		return fmt.Errorf("%s ended with exit code %d: %s", w.name, exit.ExitCode(), bytes.TrimSpace(w.log.Bytes()))
	}
	return err
}

// zone tells of the actor's zone, as its status has it.
func (w *actor) zone(ctx context.Context) (string, error) {
	a, err := w.must(ctx, "status")
	if err != nil {
		return "", err
	}
	active := 0
	for _, l := range a.Zone.Layers {
		if l.Active {
			active++
		}
	}
	return fmt.Sprintf("its zone process %d behind %d of %d layers", a.Zone.PID, active, len(a.Zone.Layers)), nil
}

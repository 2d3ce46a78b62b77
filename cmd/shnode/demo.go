package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	attack := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "run two real nodes on this machine, end to end, in temporary homes; leaves nothing behind",
		Long: `demo makes two nodes, alice and bob, each a process of its own with its own zone.
bob's policy lets alice sign with one key. alice signs a file with it, over
libp2p; the signature is verified with Go's crypto/ed25519. She asks for what
she may not have and is denied; bob is locked, and she is told so. Each step is
the command that a person would type, with the answer that it really gave.

With --attack, three peers who are permitted something do their worst to a node,
for some seconds, while two others sign with its keys: demo tells what those who
attack got, and how long the honest ones waited. The node is locked then, and
unlocked, and all that it had acknowledged must be there.`,
		Example: `  shnode demo
  shnode demo --attack
  shnode demo --json --quiet`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if attack {
				return a.demoAttack(cmd.Context())
			}
			return a.demo(cmd.Context())
		},
	}
	c.Flags().BoolVar(&attack, "attack", false, "show what three peers who mean it harm can do to a node, and to others")
	return c
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
	others     []*actor
	result     demoResult
}

func (d *demo) tell(format string, v ...any) {
	if !d.app.quiet {
		fmt.Fprintf(d.app.stderr, format+"\n", v...)
	}
}

// end stops what runs and removes what was made. It may be called again.
func (d *demo) end() error {
	var errs []error
	for _, who := range append([]*actor{d.alice, d.bob}, d.others...) {
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
	d.alice, d.bob = newActor(d.dir, "alice"), newActor(d.dir, "bob")
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
		d.tell("%s runs: process %d, its %s, peer %s", who.name, who.node.Process.Pid, zone, who.id)
	}
	return nil
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

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
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
)

// actor is one node of the demo.
type actor struct {
	name, home, passphraseFile string
	id, addr                   string // once it runs

	node *exec.Cmd
	log  *bytes.Buffer // its stderr
}

func newActor(dir, name string) *actor {
	return &actor{name: name, home: filepath.Join(dir, name), passphraseFile: filepath.Join(dir, name+".passphrase")}
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
	var missing []string
	for _, l := range a.Zone.Layers {
		if !l.Active {
			missing = append(missing, l.Name)
		}
	}
	n := len(a.Zone.Layers)
	text := fmt.Sprintf("zone %d behind %d of %d layers", a.Zone.PID, n-len(missing), n)
	if len(missing) > 0 {
		text += " (missing: " + strings.Join(missing, ", ") + ")"
	}
	return text, nil
}

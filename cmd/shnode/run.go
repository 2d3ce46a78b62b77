package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// loopback is where a node listens that was not told: peers on this machine
// reach it, and the network only when somebody has said so.
const loopback = "/ip4/127.0.0.1/tcp/0"

// stopTimeout is how long a process of ours may take to stop before it is killed.
const stopTimeout = 20 * time.Second

func (a *app) runCommand() *cobra.Command {
	var listen []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run the node in the foreground",
		Long: `run serves the home: this machine by the socket in it, and peers by libp2p. Logs
go to stderr, and one line to stdout once requests are accepted:

  ready peer=ID addr=MULTIADDR

It starts locked, for ` + "`shnode unlock`" + ` to open. With --passphrase-file it opens
itself before it is ready; the node does not read the file, a short-lived process
does, and hands it to the zone sealed.

SIGTERM and SIGINT stop it in good order: what is in flight is answered, the zone
ends, the socket is removed. It then ends with 0, or with 130 after SIGINT. HUP or
INT is ignored if it was at the start, as nohup has it.

Nobody has to read the log: lines that cannot be written are lost, and the log
says how many as soon as it can.`,
		Example: `  shnode run
  shnode run --listen /ip4/0.0.0.0/tcp/7411 --passphrase-file /run/secrets/shnode`,
		Args: takes(0, 0),
	}
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "listen on this address, such as /ip4/0.0.0.0/tcp/7411; may be given again (default: as config.toml says, else this machine only)")
	a.unlockFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		home, err := a.home()
		if err == nil {
			err = checkMaxCost(a.maxCost)
		}
		if err != nil {
			return err
		}
		a.atEnd = a.detach()
		ctx := cmd.Context()
		err = a.serve(ctx, home, func(s local.Settings) []string {
			switch {
			case len(listen) > 0:
				return listen
			case s.Listen != nil:
				return s.Listen
			}
			return []string{loopback}
		})
		var stopped interruption
		if !errors.As(context.Cause(ctx), &stopped) {
			return err
		}
		// What a signal cut short is no failure; a node that does not stop well is.
		if err != nil && explain(context.Background(), err, false).exit != exitInterrupted {
			return failed("failed", "stopping: "+err.Error(), "")
		}
		if stopped.signal == os.Interrupt {
			return answeredNo(exitInterrupted)
		}
		return nil
	}
	return cmd
}

// logger is the node's log.
func (a *app) logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{}
	if a.quiet {
		opts.Level = slog.LevelWarn
	}
	if a.json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// serve runs the node until ctx ends. An end that a signal asked for is no error.
func (a *app) serve(ctx context.Context, home string, listen func(local.Settings) []string) (err error) {
	log := a.logger(a.stderr)
	n, err := openNode(ctx, home, log, listen)
	if err != nil {
		return err
	}
	// Last: the zone, when nobody asks it any more.
	defer func() { err = errors.Join(err, n.close()) }()

	st, err := protocol.Client{H: n.Local()}.Status(ctx)
	if err != nil {
		return err
	}
	a.warnUnfiltered(st.Zone)

	l, err := control.Listen(home)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- l.Serve(serving, n.Local()) }()
	defer func() {
		stop()
		if served != nil {
			err = errors.Join(err, <-served)
		}
	}()

	if a.passphraseFile != "" {
		if err := a.unlockFromFile(ctx, home); err != nil {
			return err
		}
	}
	if err := a.printReady(n); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		log.Info("stopping", "cause", context.Cause(ctx).Error())
		return nil
	case err := <-served:
		served = nil
		return err
	}
}

// printReady is the one line that tells whoever started the node that it may be
// asked. A node that listens on more addresses tells them in its status.
func (a *app) printReady(n *opened) error {
	addrs := emptyNotNull(n.Addrs())
	addr := "-" // it listens nowhere
	if len(addrs) > 0 {
		addr = addrs[0]
	}
	return a.print(map[string]any{"ready": true, "peer": n.ID(), "addresses": addrs}, "ready peer="+n.ID()+" addr="+addr)
}

// unlockFromFile unlocks the node by a process of its own, so that no
// passphrase was ever in the memory of this one.
func (a *app) unlockFromFile(ctx context.Context, home string) error {
	args := []string{"unlock", "--json", "--home", home, "--passphrase-file", a.passphraseFile, "--timeout", a.timeout.String(), "--max-cost", fmt.Sprint(a.maxCost)}
	if a.acceptOlder {
		args = append(args, "--accept-older")
	}
	for _, c := range a.clients {
		args = append(args, "--client", c)
	}
	cmd, err := self(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Stdin = os.Stdin // for --passphrase-file -
	cmd.Stderr = a.stderr
	out, err := cmd.Output()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // we stopped it
		return context.Cause(ctx)
	}
	if f := failureOf(cmd, out); f != nil {
		return f
	}
	return fmt.Errorf("unlocking from the passphrase file: %w", err)
}

// self is this program once more, with other arguments. It is asked to stop
// when ctx ends.
func self(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if runtime.GOOS == "linux" { // the running program, as the zone's: the file may be another by now, or gone
		path, err = "/proc/self/exe", nil
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Args[0] = "shnode"
	cmd.Cancel = func() error {
		if runtime.GOOS == "windows" { // which has no such signal
			return cmd.Process.Kill()
		}
		return cmd.Process.Signal(syscall.SIGTERM)
	}
	cmd.WaitDelay = stopTimeout
	return cmd, nil
}

// failureOf is how another run of this program failed that was given --json and
// wrote out; nil if it does not say.
func failureOf(cmd *exec.Cmd, out []byte) *failure {
	var report struct {
		Error struct {
			Code, Message, Hint string
		}
	}
	if cmd.ProcessState == nil || json.Unmarshal(out, &report) != nil || report.Error.Code == "" {
		return nil
	}
	return &failure{exit: cmd.ProcessState.ExitCode(), code: report.Error.Code, message: report.Error.Message, hint: report.Error.Hint}
}

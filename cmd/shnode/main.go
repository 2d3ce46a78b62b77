// Command shnode is a Stronghold node: an encrypted database of secrets that
// computes with them and does not give them away, for the people and programs
// of this machine and for the peers that its policy permits.
//
// Most commands do nothing by themselves: they ask the node that `shnode run`
// keeps in the foreground, over the socket in its home. Data goes to stdout,
// talk to stderr; a failure has an exit code (exit.go), an error and, where one
// helps, a hint.
//
// A command is a method of [app] that returns an error. What a person reads of
// it, and with which code the process ends, is decided in one place, [explain].
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	// Its init turns this program into the zone when a node started it as one.
	_ "github.com/stronghold-go/stronghold/sandbox/engine/zone"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is the whole program, but for the end of the process.
func run(args []string) int {
	hide()
	memory.RaiseLimit() // before memguard takes what it needs
	defer memguard.Purge()
	ctx, stop := untilInterrupted()
	defer stop()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return a.execute(ctx, args)
}

// interruption is the cause of a context that a signal ended.
type interruption struct{ signal os.Signal }

func (i interruption) Error() string { return "interrupted" }

// untilInterrupted is a context that ends with the first signal that asks the
// process to. The second one ends the process as if nobody listened.
func untilInterrupted() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as nohup has it, and a script's job in the background: Notify would undo that
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(interruption{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-done
	}
}

// app is one run of the program: where it reads and writes, and its global flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	homeFlag       string
	timeout        time.Duration
	json           bool
	quiet          bool
	peer           string
	passphraseFile string
	acceptOlder    bool
	maxCost        uint32
	clients        []string

	stdinTaken bool   // by a value, so that no second one reads it
	atEnd      func() // if set, called when all is said
}

// forPeers annotates a command that may run on a peer, with --peer.
const forPeers = "for-peers"

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "shnode",
		Short: "keep secrets that sign and do not leave",
		Long: `shnode keeps secrets in an encrypted file, computes with them in a process that
can do nothing else, and gives answers, not secrets: to this machine, and to the
peers that its policy permits.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 denied by policy, 4 waiting for
approval, 5 peer or node unreachable, 6 locked or wrong passphrase, 7 not found,
8 damaged or unsupported file, 130 interrupted.`,
		Example: `  shnode init                                    # make a home; asks for a passphrase
  shnode run                                     # the node, in the foreground
  shnode unlock                                  # in another terminal
  shnode key generate wallet/keys/main --type ed25519
  shnode sign wallet/keys/main letter.txt
  shnode demo                                    # two nodes sign for each other`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.checkFlags,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.homeFlag, "home", "", "the node's folder (default $SHNODE_HOME, else $XDG_STATE_HOME/shnode, else ~/.local/state/shnode)")
	flags.BoolVar(&a.json, "json", false, "write JSON to stdout: one value, or a line for each")
	flags.DurationVar(&a.timeout, "timeout", protocol.DefaultTimeout, "how long to wait for an answer")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "say nothing on stderr but errors and warnings")
	flags.StringVar(&a.peer, "peer", "", "ask this peer, by name, id or address, instead of the local node")
	flags.StringVar(&a.passphraseFile, "passphrase-file", "", "read the passphrase from this file, or - for stdin (default $SHNODE_PASSPHRASE_FILE)")
	root.SetFlagErrorFunc(flagError)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	group(root,
		a.initCommand(), a.runCommand(), a.demoCommand(),
		a.statusCommand(), a.unlockCommand(), a.lockCommand(),
		a.peerCommand(), a.policyCommand(),
		a.keyCommand(), a.mnemonicCommand(), a.signCommand(), a.verifyCommand(),
		a.storeCommand(), a.clientCommand(), a.vaultCommand(), a.execCommand(), a.opsCommand(),
		a.snapshotCommand(), a.doctorCommand(), a.completionCommand(), a.versionCommand(),
	)
	a.completeNames(root)
	return root
}

// execute runs the command that args name and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	defer func() {
		if a.atEnd != nil {
			a.atEnd()
		}
	}()
	err := root.ExecuteContext(ctx)
	// Where flags are wrong they were not all read, but a script that asked for JSON gets JSON.
	a.json = a.json || slices.Contains(args, "--json")
	if err == nil {
		return exitDone
	}
	if no := answeredNo(0); errors.As(err, &no) {
		return int(no)
	}
	return a.fail(explain(ctx, err, a.peer != ""))
}

// checkFlags looks at what holds for every command, before it runs.
func (a *app) checkFlags(cmd *cobra.Command, _ []string) error {
	if a.peer != "" && cmd.Annotations[forPeers] == "" {
		return usage("--peer does not go with `"+cmd.CommandPath()+"`", "only what a policy can permit runs on a peer: key, sign, store, exec and `mnemonic recover`")
	}
	if a.timeout <= 0 || a.timeout > protocol.MaxTimeout {
		return usage("--timeout must be more than 0 and at most "+protocol.MaxTimeout.String(), "")
	}
	if a.passphraseFile == "" {
		a.passphraseFile = os.Getenv("SHNODE_PASSPHRASE_FILE")
	}
	return nil
}

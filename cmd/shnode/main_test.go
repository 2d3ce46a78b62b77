package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

// TestMain makes the test binary shnode when it is called so, as scripts and
// [self] do.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"shnode": main})
}

func TestScripts(t *testing.T) {
	params := testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SHNODE_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("SHNODE_PASSPHRASE_FILE", "")
			env.Setenv("XDG_STATE_HOME", "")
			return os.WriteFile(filepath.Join(env.WorkDir, "pass"), []byte("correct horse battery staple\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "terminate": terminate, "envfile": envfile,
		},
		Condition:           func(cond string) (bool, error) { return raceEnabled && cond == "race", nil },
		RequireExplicitExec: true,
	}
	if raceEnabled {
		// It makes a password hash take ten times as long. Without it all of them run.
		params.Dir, params.Files = "", []string{filepath.Join("testdata", "peer.txtar"), filepath.Join("testdata", "unfiltered.txtar")}
	}
	testscript.Run(t, params)
}

// exits runs a command that must end with an exit code: exits CODE COMMAND…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// terminate asks every process in the background to stop, as an init system does.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// envfile puts what a file holds into a variable: envfile VAR FILE.
func envfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envfile VAR FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// runHere runs a command in this process.
func runHere(ctx context.Context, args ...string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	exit = a.execute(ctx, args)
	return exit, out.String(), errs.String()
}

func testHome(t *testing.T) (home, passphraseFile string) {
	dir := t.TempDir()
	passphraseFile = filepath.Join(dir, "pass")
	if err := os.WriteFile(passphraseFile, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "home"), passphraseFile
}

// Commands that open the home themselves leave nothing running, and nor does a node.
func TestNoLeaks(t *testing.T) {
	// memguard keeps one goroutine for the life of a process.
	defer goleak.VerifyNone(t, goleak.IgnoreAnyFunction("github.com/awnumar/memguard/core.NewCoffer.func1"))
	home, passphraseFile := testHome(t)
	ctx := t.Context()
	for _, args := range [][]string{
		{"init", "--cost", "17", "--passphrase-file", passphraseFile},
		{"peer", "id"}, {"status"}, {"policy", "show"}, {"peer", "ls"},
	} {
		if exit, _, stderr := runHere(ctx, append([]string{"--home", home}, args...)...); exit != 0 {
			t.Fatalf("%v: exit %d: %s", args, exit, stderr)
		}
	}

	ctx, stop := context.WithCancelCause(ctx)
	exited := make(chan int)
	var log string
	go func() {
		exit, _, stderr := runHere(ctx, "--home", home, "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--passphrase-file", passphraseFile)
		log = stderr
		exited <- exit
	}()
	if exit, _, stderr := runHere(t.Context(), "--home", home, "status", "--wait=unlocked"); exit != 0 {
		t.Fatalf("status: exit %d: %s", exit, stderr)
	}
	stop(interruption{syscall.SIGTERM})
	if exit := <-exited; exit != 0 {
		t.Errorf("run ended with %d: %s", exit, log)
	}
}

// A signal ends what waits for input, and what waits for a node, with 130.
func TestInterrupted(t *testing.T) {
	for _, args := range [][]string{
		{"verify", "--public-key", strings.Repeat("00", 32), "--signature", "-"},
		{"--home", t.TempDir(), "status", "--wait"},
		{"demo"},
	} {
		t.Run(args[0], func(t *testing.T) {
			tmp := t.TempDir()
			cmd, err := self(t.Context(), args...)
			if err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			stdin, err := cmd.StdinPipe() // open, and silent
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond) // nothing tells that it waits
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if exit := cmd.ProcessState.ExitCode(); exit != exitInterrupted {
				t.Errorf("exit code %d: %s", exit, &stderr)
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Every command says what it does, with an example, and takes nothing secret
// as an argument.
func TestHelp(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: no description or no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Long) {
			if utf8.RuneCountInString(line) > 86 {
				t.Errorf("%s: a long line: %s", c.CommandPath(), line)
			}
		}
		for _, name := range []string{"passphrase", "password", "mnemonic", "secret", "seed"} {
			if c.Flag(name) != nil {
				t.Errorf("%s: --%s", c.CommandPath(), name)
			}
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk((&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).root())
}

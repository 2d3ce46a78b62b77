package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mnemonic is shown on a terminal once, and nowhere else. Scripts cannot tell:
// their stdout is none.
func TestMnemonicOnTerminal(t *testing.T) {
	home, passphraseFile := testHome(t)
	if exit, _, stderr := runHere(t.Context(), "--home", home, "init", "--cost", "17", "--passphrase-file", passphraseFile); exit != 0 {
		t.Fatal(stderr)
	}
	node, err := self(t.Context(), "--home", home, "run", "--passphrase-file", passphraseFile)
	if err != nil {
		t.Fatal(err)
	}
	var log, said bytes.Buffer // by the node, and by the commands
	node.Stderr = &log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	if exit, _, stderr := runHere(t.Context(), "--home", home, "status", "--wait=unlocked"); exit != 0 {
		t.Fatal(stderr)
	}

	show := func(args ...string) string {
		t.Helper()
		ours, theirs := terminal(t)
		cmd, err := self(t.Context(), append([]string{"--home", home}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, &stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
		said.Write(stderr.Bytes())
		return readFor(ours, 100*time.Millisecond)
	}
	words := regexp.MustCompile(`^([a-z]+ ){23}[a-z]+\r\n$`)
	shown := show("mnemonic", "generate", "wallet/seeds/plain")
	if !words.MatchString(shown) {
		t.Errorf("the terminal shows %q", shown)
	}
	asJSON := show("mnemonic", "generate", "wallet/seeds/json", "--json")
	if !regexp.MustCompile(`^{"kind":"mnemonic","location":"wallet/seeds/json","mnemonic":"([a-z]+ ){23}[a-z]+"}\r\n$`).MatchString(asJSON) {
		t.Errorf("the terminal shows %q", asJSON)
	}
	byExec := show("exec", "bip39.generate", "location=wallet/seeds/exec")
	if first, rest, _ := strings.Cut(byExec, "\n"); !words.MatchString(first+"\n") || rest != "kind=mnemonic\r\n" {
		t.Errorf("the terminal shows %q", byExec)
	}

	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Error(err)
	}
	// One word of them may be in a log by chance.
	for _, text := range []string{shown, byExec} {
		all := strings.Fields(text)
		for i := range all[:22] {
			if three := strings.Join(all[i:i+3], " "); strings.Contains(log.String()+said.String(), three) {
				t.Errorf("stderr has %q", three)
			}
		}
	}
}

func readFor(f *os.File, d time.Duration) string {
	f.SetReadDeadline(time.Now().Add(d))
	var b bytes.Buffer
	b.ReadFrom(f)
	return b.String()
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// limitedGroup makes a control group of so much memory, of version 1 or 2, and returns the file that takes processes in.
func limitedGroup(t *testing.T, bytes int) string {
	name := fmt.Sprintf("shnode-test-%d", os.Getpid())
	for folder, file := range map[string]string{"/sys/fs/cgroup": "memory.max", "/sys/fs/cgroup/memory": "memory.limit_in_bytes"} {
		dir := filepath.Join(folder, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		procs, limit := filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, file)
		if _, err := os.Stat(procs); err != nil { // no group
			continue
		}
		if f, err := os.OpenFile(limit, os.O_WRONLY, 0); err == nil {
			_, err = fmt.Fprint(f, bytes)
			if f.Close(); err == nil {
				return procs
			}
		}
	}
	t.Skip("no control group can be made here")
	return ""
}

// init heeds the memory that it may take, and says what was the matter where a person asks for more.
func TestInitInLittleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes several times as much memory")
	}
	procs := limitedGroup(t, 150<<20)
	home, passphraseFile := testHome(t)
	run := func(args ...string) (string, error) {
		cmd, err := self(t.Context(), append([]string{"--home", home, "--passphrase-file", passphraseFile}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, procs, shnode(t)}, cmd.Args[1:]...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("init", "--cost", "20"); err == nil || !strings.Contains(out, "hint: was there memory enough? MemoryMax=") {
		t.Errorf("with a cost that is too high: %v, %s", err, out)
	}
	if out, err := run("init"); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	if out, err := run("snapshot", "inspect", filepath.Join(home, "vault.stronghold")); err != nil || !strings.Contains(out, "passphrase, cost 17") {
		t.Errorf("%v, %s", err, out)
	}
}

// shnode is a name by which this program is the one that is tested.
func shnode(t *testing.T) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "shnode")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	return link
}

package itest

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestReadmeSession types the README's session into a shell, in a copy of the
// source tree, as a newcomer would.
func TestReadmeSession(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the session is for a POSIX shell")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "\n## A session\n\n```sh\n")
	session, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("README.md has no session")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	copyTree(t, "..", dir)
	// What the README leaves running is stopped, and must stop well.
	script := "trap 'kill %1 && wait %1' EXIT\n" + session + "./shnode status --json > status.json\n"
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	cmd.WaitDelay = 10 * time.Second // for what the script left behind
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status.json"))
	if err != nil || !bytes.Contains(status, []byte(`"locked":true`)) {
		t.Errorf("the last line does not lock: %s %v", status, err)
	}
	for file, least := range map[string]int{"signature": 88, "public": 44, "message": 1} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || len(b) < least {
			t.Errorf("%s: %q %v", file, b, err)
		}
	}
}

// copyTree copies what a clone would hold: no hidden folders.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

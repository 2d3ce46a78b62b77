package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A vector is a file with at most one thing wrong with it, and what a reader must
// say of it. They lie in testdata/vectors, for other implementations too: a line
// that says what the file is, "expect: " and what is expected, "passphrase: " and
// what to open it with, an empty line, and the file. Expected is one of
//
//	whole N R I        N changes, R records with the tombstones among them, I items
//	recovered N R I    the same, and the end was cut short
//	not a snapshot, version X.Y, wrong key
//	damaged: WHERE
//	refused            any of these, but the first two
//
// `go test ./snapshot -run TestVectors -update` makes them anew.
type fileVector struct {
	name, about, passphrase, expect string
	file                            []byte
}

func (v *fileVector) encode() []byte {
	return append(fmt.Appendf(nil, "%s\nexpect: %s\npassphrase: %s\n\n", v.about, v.expect, v.passphrase), v.file...)
}

func decodeVector(t *testing.T, path string) (v fileVector) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, file, ok := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || len(lines) != 3 {
		t.Fatalf("%s is no vector", path)
	}
	expect, ok1 := strings.CutPrefix(lines[1], "expect: ")
	passphrase, ok2 := strings.CutPrefix(lines[2], "passphrase: ")
	if !ok1 || !ok2 {
		t.Fatalf("%s is no vector", path)
	}
	return fileVector{filepath.Base(path), lines[0], passphrase, expect, file}
}

// outcome is what this reader says of a vector.
func outcome(t *testing.T, v *fileVector) string {
	t.Helper()
	arena := sharedArena(t)
	s, err := Read(bytes.NewReader(v.file), with(arena, v.passphrase), Options{Arena: arena})
	var version *VersionError
	var damaged *DamagedError
	switch {
	case err == nil:
		defer s.Close()
		var records, items int
		for _, c := range s.DB.Freeze().Clients {
			for _, v := range c.Vaults {
				records += v.Len()
			}
			n, _ := c.Items()
			items += n
		}
		end := "whole"
		if s.Recovered {
			end = "recovered"
		}
		return fmt.Sprintf("%s %d %d %d", end, s.DB.Sequence(), records, items)
	case errors.Is(err, ErrNotASnapshot):
		return "not a snapshot"
	case errors.As(err, &version):
		return fmt.Sprintf("version %d.%d", version.Major, version.Minor)
	case errors.Is(err, ErrWrongKey):
		return "wrong key"
	case errors.As(err, &damaged):
		return "damaged: " + damaged.Where
	}
	return err.Error()
}

const vectorsAtLeast = 200

func TestVectors(t *testing.T) {
	dir := filepath.Join("testdata", "vectors")
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, v := range makeVectors(t) {
			path := filepath.Join(dir, v.name)
			if _, err := os.Stat(path); err == nil {
				t.Errorf("two vectors are called %s", v.name)
			}
			if err := os.WriteFile(path, v.encode(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) < vectorsAtLeast {
		t.Fatalf("%d vectors: %v", len(paths), err)
	}
	for i, path := range paths {
		if raceDetector && i%10 != 0 {
			continue
		}
		v := decodeVector(t, path)
		got := outcome(t, &v)
		if got != v.expect && !(v.expect == "refused" && !strings.HasPrefix(got, "whole") && !strings.HasPrefix(got, "recovered")) {
			t.Errorf("%s, %s: %s, want %s", v.name, v.about, got, v.expect)
		}
	}
}

// What the generator makes is what it says, too: the files that are checked in and
// the code that made them have not gone different ways.
func TestVectorsAreMade(t *testing.T) {
	if raceDetector {
		t.Skip("TestVectors reads a tenth of them")
	}
	made := makeVectors(t)
	for i := range made {
		v := &made[i]
		if _, err := os.Stat(filepath.Join("testdata", "vectors", v.name)); err != nil {
			t.Errorf("not checked in: %v", err)
		}
		if got := outcome(t, v); got != v.expect && v.expect != "refused" {
			t.Errorf("%s, %s: %s, want %s", v.name, v.about, got, v.expect)
		}
	}
	if paths, _ := filepath.Glob(filepath.Join("testdata", "vectors", "*")); len(paths) != len(made) {
		t.Errorf("%d are checked in, %d are made", len(paths), len(made))
	}
}

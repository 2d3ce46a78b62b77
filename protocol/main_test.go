package protocol

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSeeds fails if a fuzz target has lost its seeds: it would still pass, on nothing.
func TestSeeds(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	targets := 0
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllSubmatch(src, -1) {
			targets++
			seeds, _ := os.ReadDir(filepath.Join("testdata", "fuzz", string(m[1])))
			if len(seeds) == 0 {
				t.Errorf("%s: no seeds in testdata/fuzz", m[1])
			}
		}
	}
	if targets == 0 {
		t.Error("no fuzz target found")
	}
}

// bubble runs f in a bubble of synctest, with an overseer of its own, since that of the process lives outside.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer func(of *overseer) { processOverseer = of }(processOverseer)
	processOverseer = new(overseer)
	synctest.Test(t, f)
}

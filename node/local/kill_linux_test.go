package local_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stronghold-go/stronghold/node/local"
)

// killDisk is the system's disk; the process kills itself before an operation on it.
type killDisk struct {
	local.Disk
	ops *atomic.Int64
	at  int64 // 0: never
}

func (d killDisk) op() {
	if d.ops.Add(1) == d.at {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

type killFile struct {
	local.File
	d killDisk
}

func (d killDisk) file(f local.File, err error) (local.File, error) {
	if err != nil {
		return nil, err
	}
	return killFile{f, d}, nil
}

func (d killDisk) Open(path string) (local.File, error)   { return d.file(d.Disk.Open(path)) }
func (d killDisk) Create(path string) (local.File, error) { d.op(); return d.file(d.Disk.Create(path)) }
func (d killDisk) Link(from, to string) error             { d.op(); return d.Disk.Link(from, to) }
func (d killDisk) Rename(from, to string) error           { d.op(); return d.Disk.Rename(from, to) }
func (d killDisk) Remove(path string) error               { d.op(); return d.Disk.Remove(path) }
func (d killDisk) SyncFolder(path string) error           { d.op(); return d.Disk.SyncFolder(path) }
func (d killDisk) Is(path string, f local.File) bool      { return d.Disk.Is(path, f.(killFile).File) }

func (f killFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.op()
	n, err := f.File.WriteAt(p[:len(p)/2], at)
	if err != nil {
		return n, err
	}
	f.d.op() // with half of it written
	more, err := f.File.WriteAt(p[n:], at+int64(n))
	return n + more, err
}

func (f killFile) Truncate(size int64) error { f.d.op(); return f.File.Truncate(size) }
func (f killFile) Sync() error               { f.d.op(); return f.File.Sync() }

const (
	killHome = "STRONGHOLD_TEST_KILL_HOME"
	killAt   = "STRONGHOLD_TEST_KILL_AT"
)

// TestKilledHelper is the process that TestKilled kills: it runs the workload and
// says on stdout what was acknowledged.
func TestKilledHelper(t *testing.T) {
	home, ok := os.LookupEnv(killHome)
	if !ok {
		return // somebody runs all tests
	}
	at, err := strconv.ParseInt(os.Getenv(killAt), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, local.Config{Home: home, Workers: 2})
	ops := new(atomic.Int64)
	s.SetDisk(killDisk{local.SystemDisk, ops, at})
	unlock(t, s)
	for i := range 6 {
		key := fmt.Sprint("key ", i)
		if err := put(t.Context(), s, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("acknowledged %s\n", key)
		if i%3 == 1 {
			if _, err := s.Client().Do(t.Context(), save()); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Close()
	fmt.Printf("operations %d\n", ops.Load())
}

// TestKilled kills the process of a node before each of its writes, in the middle
// of them, and before each sync, rename and removal: whoever comes after it finds
// everything that was acknowledged.
func TestKilled(t *testing.T) {
	if raceDetector {
		t.Skip("many processes, and nothing in them is shared")
	}
	run := func(home string, at int64) (acknowledged []string, operations int64) {
		t.Helper()
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestKilledHelper$")
		cmd.Env = append(os.Environ(), killHome+"="+home, killAt+"="+strconv.FormatInt(at, 10))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if key, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
				acknowledged = append(acknowledged, key)
			}
			if n, ok := strings.CutPrefix(lines.Text(), "operations "); ok {
				operations, _ = strconv.ParseInt(n, 10, 64)
			}
		}
		if err := cmd.Wait(); (err == nil) != (at == 0) {
			t.Fatalf("killed at operation %d: %v", at, err)
		}
		return acknowledged, operations
	}
	all, total := run(quickHome(t).Home, 0)
	if len(all) != 6 || total < 20 {
		t.Fatalf("%d changes in %d operations", len(all), total)
	}
	for i := range int64(rounds(12, int(total))) {
		at := i + 1
		if !*long {
			at = 1 + rand.Int64N(total)
		}
		cfg := quickHome(t)
		acknowledged, _ := run(cfg.Home, at)
		s := open(t, cfg)
		unlock(t, s)
		for _, key := range acknowledged {
			if v, err := get(t.Context(), s, key); err != nil || string(v) != key {
				t.Errorf("killed at operation %d of %d: %s is %q, %v", at, total, key, v, err)
			}
		}
		if err := put(t.Context(), s, "after", []byte("x")); err != nil {
			t.Error(err)
		}
		s.Close()
		if left := files(t, cfg.Home); len(left) != 4 {
			t.Errorf("killed at operation %d: left behind: %q", at, left)
		}
	}
}

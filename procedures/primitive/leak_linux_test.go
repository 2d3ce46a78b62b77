package primitive

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// leakMask hides the fragments in the process that looks for them from itself.
const leakMask = 0x9d3b7f1e5ac64d21

// TestNothingIsLeftBehind runs all operations, on secrets in mapped memory, in a process
// with the settings of the zone. Then it reads all memory of that process that can
// be written, but for the mapped piece, and looks for any 8 bytes in a row of
// the secrets and of what is computed on the way from them, at every address, as they
// are and in other byte orders.
//
// The process gets what it looks for from here, disguised, and must find a planted
// fragment first.
func TestNothingIsLeftBehind(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector keeps copies of its own")
	}
	var input strings.Builder
	roots := [][32]byte{}
	r := newRand(t)
	for range 3 {
		roots = append(roots, [32]byte(randBytes(r, 32)))
	}
	for _, root := range roots {
		for i := 0; i < len(root); i += 8 {
			fmt.Fprintf(&input, "root %x\n", binary.LittleEndian.Uint64(root[i:])^leakMask)
		}
	}
	fragments := 0
	for _, root := range roots {
		for _, secret := range secretsOf(root) {
			for i := 0; i+8 <= len(secret); i += 8 {
				for _, f := range orders([8]byte(secret[i:])) {
					fmt.Fprintf(&input, "fragment %x\n", f^leakMask)
					fragments++
				}
			}
		}
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable, "-test.run=^TestLeakChild$", "-test.v")
	cmd.Env = []string{"PRIMITIVE_LEAK_CHILD=1", "GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1"}
	cmd.Stdin = strings.NewReader(input.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("clean")) {
		t.Fatalf("the child did not come to an end:\n%s", out)
	}
	t.Logf("%d fragments\n%s", fragments, out)
}

// orders returns the word of the fragment as it is, reversed, and with each half reversed,
// as hashes load it.
func orders(f [8]byte) [3]uint64 {
	le := binary.LittleEndian.Uint64(f[:])
	be := binary.BigEndian.Uint64(f[:])
	return [3]uint64{le, be, be<<32 | be>>32}
}

// planted is global, or the compiler would see that nobody reads it.
var planted []byte

func TestLeakChild(t *testing.T) {
	if os.Getenv("PRIMITIVE_LEAK_CHILD") == "" {
		return // this is the child of TestNothingIsLeftBehind, and no test of its own
	}
	arena, err := syscall.Mmap(-1, 0, 64<<10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	var masked []uint64
	var s scanner
	s.hidden = append(s.hidden, addresses(arena))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		kind, word, _ := strings.Cut(lines.Text(), " ")
		var b [8]byte
		if n, err := hex.Decode(b[:], fmt.Appendf(nil, "%016s", word)); n != 8 || err != nil {
			t.Fatal("bad line")
		}
		if v := binary.BigEndian.Uint64(b[:]); kind == "root" {
			masked = append(masked, v)
		} else {
			s.add(v)
		}
	}
	if len(masked) < 4 || s.n < 1000 {
		t.Fatalf("%d words of roots, %d fragments", len(masked), s.n)
	}

	// It must find what is there to be found.
	planted = make([]byte, 64)
	binary.LittleEndian.PutUint64(planted[13:], s.some^leakMask)
	if hits := s.scan(t); len(hits) == 0 {
		t.Fatal("the planted fragment was not found")
	}
	clear(planted)
	s.wipe()
	if hits := s.scan(t); len(hits) != 0 {
		t.Fatalf("found before anything was done:\n%s", strings.Join(hits, "\n"))
	}

	works := make([]*work, len(masked)/4)
	for i := range works {
		works[i] = newWork(arena[i*workSize:][:workSize], [32]byte{})
		memory.Erase(func() {
			for j, v := range masked[4*i:][:4] {
				binary.LittleEndian.PutUint64(works[i].root[8*j:], v^leakMask)
			}
		})
	}
	// A worker of its own, which then waits: its stack stays as the operations left it.
	const rounds = 30
	done, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	go func() {
		for round := range rounds {
			for _, op := range operations {
				for _, w := range works {
					memory.Erase(func() { op.run(w) })
				}
			}
			if round%5 == 0 {
				runtime.GC()
			}
		}
		close(done)
		<-end
	}()
	<-done
	time.Sleep(10 * time.Millisecond)
	for _, when := range []string{"at rest", "after a collection"} {
		if hits := s.scan(t); len(hits) != 0 {
			t.Errorf("%s:\n%s", when, strings.Join(hits, "\n"))
		}
		s.wipe()
		runtime.GC()
		runtime.GC()
	}
	searched := s.bytes

	// What the standard library leaves is seen, or the search would not mean much.
	h := hmac.New(sha512.New, works[0].root[:])
	h.Write(works[0].message)
	h.Sum(works[0].public[:0])
	if hits := s.scan(t); len(hits) == 0 {
		t.Error("the pads of crypto/hmac were not found")
	}
	if !t.Failed() {
		t.Logf("clean: %d MiB searched after %d rounds of %d operations", searched>>20, rounds, len(operations))
	}
}

// A scanner searches the memory of its own process for masked words.
type scanner struct {
	table  [1 << 16][]uint64 // by the low 16 bits
	n      int
	some   uint64
	hidden [][2]uint64 // from, to: the arena, and buf
	buf    []byte
	bytes  int
}

func addresses(b []byte) [2]uint64 {
	var from uint64
	fmt.Sscanf(fmt.Sprintf("%p", b), "0x%x", &from)
	return [2]uint64{from, from + uint64(len(b))}
}

func (s *scanner) add(masked uint64) {
	if v := masked ^ leakMask; v == 0 {
		return // zeros are everywhere
	}
	s.table[uint16(masked)] = append(s.table[uint16(masked)], masked)
	s.some = masked
	s.n++
}

func (s *scanner) wipe() { clear(s.buf) }

// scan returns a line for each hit, without the fragment.
func (s *scanner) scan(t *testing.T) (hits []string) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	if s.buf == nil {
		s.buf = make([]byte, 1<<20)
		s.hidden = append(s.hidden, addresses(s.buf))
	}
	s.bytes = 0
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var perms string
		fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms)
		if !strings.HasPrefix(perms, "rw") {
			continue
		}
		for at := from; at < to; at += uint64(len(s.buf)) - 8 {
			n, _ := mem.ReadAt(s.buf[:min(uint64(len(s.buf)), to-at)], int64(at))
			s.bytes += n
			for i := 0; i+8 <= n; i++ {
				v := binary.LittleEndian.Uint64(s.buf[i:]) ^ leakMask
				for _, f := range s.table[uint16(v)] {
					addr := at + uint64(i)
					if f == v && !slices.ContainsFunc(s.hidden, func(h [2]uint64) bool { return h[0] <= addr && addr < h[1] }) {
						hits = append(hits, fmt.Sprintf("  %#x in %s", addr, strings.TrimSpace(line)))
					}
				}
			}
		}
	}
	return hits
}

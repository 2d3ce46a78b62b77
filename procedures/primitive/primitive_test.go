package primitive

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"
)

// newRand returns the source of a differential test: random, and the same on each run.
func newRand(t testing.TB) *rand.ChaCha8 {
	var seed [32]byte
	copy(seed[:], t.Name())
	return rand.NewChaCha8(seed)
}

// cases returns n, or a tenth of it under the race detector, which takes ten times as
// long and has little to find in a package without goroutines.
func cases(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

func randBytes(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	r.Read(b)
	return b
}

// lengthsAround returns 0 to 300 and some lengths beyond, so that every position in
// a block of each hash is met.
func lengthsAround(t testing.TB) []int {
	var n []int
	for i := range 301 {
		n = append(n, i)
	}
	return append(n, 511, 512, 1000, 4096, 65537)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noAllocs fails if f allocates. Its buffers are meant to be local arrays: they
// show as well that no argument makes its way into the heap.
func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		if raceEnabled {
			t.Skip("the race detector changes what the compiler inlines")
		}
		if n := testing.AllocsPerRun(50, f); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
}

func mustPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Errorf("%s: no panic", name)
		}
	}()
	f()
}

// turns measures two functions in turns, so that other load on the machine meets both.
type turns struct {
	b          *testing.B
	ours, base time.Duration
}

func newTurns(b *testing.B) *turns { return &turns{b: b} }

func (m *turns) run(ours, base func()) {
	start := time.Now()
	ours()
	middle := time.Now()
	base()
	m.ours, m.base = m.ours+middle.Sub(start), m.base+time.Since(middle)
}

// report reports what ours took, and its ratio to base.
func (m *turns) report(unit, ratio string) {
	m.b.ReportMetric(float64(m.ours.Nanoseconds())/float64(m.b.N), unit)
	m.b.ReportMetric(float64(m.ours)/float64(m.base), ratio)
}

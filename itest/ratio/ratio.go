// Package ratio measures ways to a signature against the standard library, in
// turns within one run: on a machine that does other work too, only the ratio
// says anything.
package ratio

import (
	"context"
	"crypto/ed25519"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rounds is how often a benchmark changes between what it measures and the
// baseline, so that other load of the machine meets both.
const rounds = 10

// Signer makes one signature: 64 bytes, Ed25519.
type Signer func(ctx context.Context, message []byte) ([]byte, error)

// Sign measures b.N signatures of a 32-byte message, made by as many callers as
// there are signers. It reports, of each row:
//
//   - sign/s: how many a second
//   - p50-µs, p99-µs: how long one caller waits
//   - %raw: the rate, as a share of what the standard library signs with a key in
//     this process on all processors at the same time
func Sign(b *testing.B, sign []Signer) {
	ctx := b.Context()
	message := make([]byte, 32)
	var ours, theirs time.Duration
	var done int
	var base int64
	var waits []time.Duration
	b.ResetTimer()
	for i := range rounds {
		n := b.N*(i+1)/rounds - b.N*i/rounds
		took, each := measure(b, ctx, sign, n, message)
		ours, done, waits = ours+took, done+n, append(waits, each...)

		b.StopTimer()
		// About as long again, where that is long enough to say anything.
		signed, took := baseline(message, min(max(took, 5*time.Millisecond), 100*time.Millisecond))
		theirs, base = theirs+took, base+signed
		b.StartTimer()
	}
	b.StopTimer()
	slices.Sort(waits)
	at := func(share float64) float64 {
		return float64(waits[int(share*float64(len(waits)-1))].Nanoseconds()) / 1e3
	}
	rate := float64(done) / ours.Seconds()
	b.ReportMetric(rate, "sign/s")
	b.ReportMetric(at(0.50), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(100*rate/(float64(base)/theirs.Seconds()), "%raw")
}

// baseline signs for so long on all processors with the standard library. It
// returns how many signatures that made, and how long it really took.
func baseline(message []byte, d time.Duration) (int64, time.Duration) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	var n atomic.Int64
	var cores sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		cores.Go(func() {
			for time.Since(start) < d {
				ed25519.Sign(private, message)
				n.Add(1)
			}
		})
	}
	cores.Wait()
	return n.Load(), time.Since(start)
}

// measure has the callers make n signatures together. It returns how long that
// took, and how long each one did.
func measure(b *testing.B, ctx context.Context, sign []Signer, n int, message []byte) (time.Duration, []time.Duration) {
	var callers sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	waits := make([][]time.Duration, len(sign))
	start := time.Now()
	for i, sign := range sign {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				asked := time.Now()
				sig, err := sign(ctx, message)
				waits[i] = append(waits[i], time.Since(asked))
				if err != nil || len(sig) != ed25519.SignatureSize {
					b.Errorf("a signature of %d bytes, %v", len(sig), err)
					return
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(start)
	if b.Failed() {
		b.FailNow()
	}
	return took, slices.Concat(waits...)
}

package itest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// rounds is how often a benchmark changes between what it measures and the
// baseline, so that other load of the machine meets both.
const rounds = 10

// BenchmarkSign measures one Ed25519 signature of a 32-byte message, by each way
// to a key. Of every row:
//
//   - sign/s: how many a second, by so many callers
//   - p50-µs, p99-µs: how long one caller waits
//   - %raw: the rate, as a share of what the standard library signs with a key in
//     this process on all processors at the same time
//
// The ratio is what is to be compared: figures of one machine move with its load.
// The nodes' own work is in it, and that of the callers too. The two nodes of the
// peer row are in this process; each has a zone of its own.
func BenchmarkSign(b *testing.B) {
	for _, way := range []struct {
		name string
		open func(*testing.B) signers
	}{
		{"library", libraryKey},
		{"zone", zoneKey},
		{"socket", socketKey},
		{"peer", peerKey},
	} {
		b.Run(way.name, func(b *testing.B) {
			s := way.open(b)
			for _, callers := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchSign(b, s(b, callers)) })
			}
		})
	}
}

// signer makes one signature.
type signer func(ctx context.Context, message []byte) ([]byte, error)

// signers gives each caller his way to the same key.
type signers func(b *testing.B, callers int) []signer

func benchSign(b *testing.B, sign []signer) {
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
func measure(b *testing.B, ctx context.Context, sign []signer, n int, message []byte) (time.Duration, []time.Duration) {
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

var benchKey = &protocol.Location{Client: []byte("bench"), Vault: []byte("keys"), Record: []byte("main")}

// same gives every caller the same way.
func same(s signer) signers {
	return func(_ *testing.B, callers int) []signer { return slices.Repeat([]signer{s}, callers) }
}

// by signs with the key that h keeps.
func by(h protocol.Handler) signer {
	return func(ctx context.Context, message []byte) ([]byte, error) {
		return protocol.Client{H: h}.Sign(ctx, benchKey, message)
	}
}

// makeKey makes the key, and signs once with it, so that its way is open.
func makeKey(b *testing.B, h protocol.Handler) {
	b.Helper()
	public, err := protocol.Client{H: h}.GenerateKey(b.Context(), benchKey, protocol.Ed25519, false)
	if err != nil {
		b.Fatal(err)
	}
	message := []byte("a message")
	if sig, err := by(h)(b.Context(), message); err != nil || !ed25519.Verify(public, message, sig) {
		b.Fatalf("the first signature: %v", err)
	}
}

func libraryKey(b *testing.B) signers {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	return same(func(_ context.Context, message []byte) ([]byte, error) { return ed25519.Sign(private, message), nil })
}

func zoneKey(b *testing.B) signers {
	tg := engineTarget(overPipe(newPipe(b)))
	tg.unlock(b)
	makeKey(b, tg.handler)
	return same(by(tg.engine))
}

// socketKey gives each caller a connection, as if each were a program.
func socketKey(b *testing.B) signers {
	n := newNode(b)
	serveSocket(b, n)
	unlock(b, n.node.Local())
	makeKey(b, n.node.Local())
	return func(b *testing.B, callers int) []signer {
		sign := make([]signer, callers)
		for i := range sign {
			sign[i] = by(dialSocket(b, n.Home()))
		}
		return sign
	}
}

// peerKey has all callers share one stream, as a node's callers do.
func peerKey(b *testing.B) signers {
	asker, n := newPair(b)
	unlock(b, n.node.Local())
	makeKey(b, asker.node.Remote("b"))
	return same(by(asker.node.Remote("b")))
}

package itest

import (
	"context"
	"crypto/ed25519"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/processor"
	"github.com/stronghold-go/stronghold/vault"
)

// recordGate is a zone with one record, which it signs with. Requests are messages, answers signatures.
const recordGate = "bench-record"

func init() {
	sandbox.Gate(recordGate, 1<<20, func(in sandbox.Inside) (sandbox.Handler, error) {
		records, err := in.Arena.New(32)
		if err != nil {
			return nil, err
		}
		made, err := procedures.GenerateKey(in.Arena, vault.Ed25519)
		if err != nil {
			return nil, err
		}
		db := vault.New(in.Arena, records, [8]byte{})
		at := vault.At([]byte("bench"), []byte("keys"), []byte("main"))
		change, err := db.Stage(func(tx *vault.Tx) error {
			return made.Secret.Use(func(secret []byte) error {
				_, err := tx.Put(at, vault.Value{Kind: made.Kind, Secret: secret}, false)
				return err
			})
		})
		if err == nil {
			err = db.Commit(change.Sequence)
		}
		if err != nil {
			return nil, err
		}
		return func(_ context.Context, message []byte) (signature []byte, err error) {
			err = db.Lend(at, func(r *vault.Record, secret []byte) (err error) {
				signature, err = procedures.Ed25519Sign(in.Arena, r.Kind, secret, message)
				return err
			})
			return signature, err
		}, nil
	})
}

// BenchmarkPipeRecord measures a signature of 300 bytes through the pipe, with a record from the vault, beside the
// standard library's with a key in this process, in turns. One caller is lent a processor for each call (own=false),
// or has a thread that stays on one (own=true).
func BenchmarkPipeRecord(b *testing.B) {
	for _, bb := range []struct {
		name    string
		callers int
		own     bool
	}{{"callers=1", 1, false}, {"callers=1/own=true", 1, true}, {"callers=16", 16, false}, {"callers=64", 64, false}} {
		b.Run(bb.name, func(b *testing.B) {
			z, err := sandbox.Start(b.Context(), sandbox.Config{Name: recordGate})
			if err != nil {
				b.Fatal(err)
			}
			defer z.Close()
			ctx := context.Background() // nothing to look after while it waits
			private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			message := make([]byte, 300)
			if bb.own {
				var thread processor.Keeper
				if !thread.Keep(0) {
					b.Skip("this thread may not be kept on processor 0")
				}
				defer thread.Keep(processor.None)
			}
			const rounds = 40
			var here, there []float64
			for range rounds {
				n := max(b.N/rounds, 1)
				here = append(here, together(min(bb.callers, runtime.GOMAXPROCS(0)), n, func() { ed25519.Sign(private, message) }))
				there = append(there, together(bb.callers, n, func() {
					if _, err := z.Call(ctx, message); err != nil {
						b.Error(err)
					}
				}))
			}
			slices.Sort(here)
			slices.Sort(there)
			b.ReportMetric(100*here[rounds/2]/there[rounds/2], "%-of-in-process")
			b.ReportMetric(100*here[0]/there[0], "best-%-of-in-process")
			b.ReportMetric(there[rounds/2]-here[rounds/2], "us-added")
			b.ReportMetric(there[0]-here[0], "us-best-added")
		})
	}
}

// together has f called n times by so many, and returns how long each took, in microseconds.
func together(callers, n int, f func()) float64 {
	start := time.Now()
	if callers == 1 {
		for range n {
			f()
		}
	} else {
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				for j := i; j < n; j += callers {
					f()
				}
			})
		}
		all.Wait()
	}
	return float64(time.Since(start).Nanoseconds()) / 1e3 / float64(n)
}

package local_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/snapshot"
)

const entrySize = 230 // of a small change in the journal, with its batch

// groupCommit is what a durable log can do at best: entries that come together are
// written together and share a sync.
type groupCommit struct {
	entries chan chan error
	f       *os.File
}

func newGroupCommit(b *testing.B) *groupCommit {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	g := &groupCommit{make(chan chan error, 1024), f}
	b.Cleanup(func() { close(g.entries); f.Close() })
	go func() {
		for first := range g.entries {
			waiting := []chan error{first}
			for len(g.entries) > 0 {
				waiting = append(waiting, <-g.entries)
			}
			_, err := f.Write(bytes.Repeat([]byte("x"), entrySize*len(waiting)))
			if err == nil {
				err = f.Sync()
			}
			for _, w := range waiting {
				w <- err
			}
		}
	}()
	return g
}

func (g *groupCommit) write() error {
	done := make(chan error, 1)
	g.entries <- done
	return <-done
}

// together has n calls made by so many callers, and says how long that took.
func together(b *testing.B, callers, n int, f func(i int) error) time.Duration {
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for {
				i := left.Add(-1)
				if i < 0 {
					return
				}
				if err := f(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkDurable makes small changes beside a bare loop of writes and syncs on
// the same disk, in turns: ×bare is the share of its rate that is left.
func BenchmarkDurable(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := open(b, quickHome(b))
			unlock(b, s)
			bare := newGroupCommit(b)
			var ours, theirs time.Duration
			const rounds = 10
			b.ResetTimer()
			for r := range rounds {
				n := b.N*(r+1)/rounds - b.N*r/rounds
				ours += together(b, callers, n, func(i int) error { return put(b.Context(), s, fmt.Sprint("key ", i%1000), []byte("value")) })
				theirs += together(b, callers, n, func(int) error { return bare.write() })
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/ours.Seconds(), "change/s")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "×bare")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "time/bare")
		})
	}
}

// BenchmarkSmallChange makes one change after the other in a file of 64 MB, beside
// the same in a small one.
func BenchmarkSmallChange(b *testing.B) {
	small, large := open(b, quickHome(b)), open(b, quickHome(b))
	for _, s := range []*local.Stronghold{small, large} {
		unlock(b, s)
	}
	together(b, 16, 1000, func(i int) error { return put(b.Context(), large, fmt.Sprint("large ", i), make([]byte, 64<<10)) })
	if _, err := large.Client().Do(b.Context(), save()); err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	const rounds = 10
	b.ResetTimer()
	for r := range rounds {
		n := b.N*(r+1)/rounds - b.N*r/rounds
		ours += together(b, 1, n, func(i int) error { return put(b.Context(), large, fmt.Sprint("key ", i%100), []byte("value")) })
		theirs += together(b, 1, n, func(i int) error { return put(b.Context(), small, fmt.Sprint("key ", i%100), []byte("value")) })
	}
	b.StopTimer()
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "large/small")
}

// BenchmarkUnlock unlocks a home that Init has made, beside what its slot takes to open.
func BenchmarkUnlock(b *testing.B) {
	cfg := newHome(b)
	s := open(b, cfg)
	f, err := os.Open(filepath.Join(cfg.Home, "vault.stronghold"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	h, _, err := snapshot.ReadHeader(f)
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		unlock(b, s)
		between := time.Now()
		if _, err := h.Open([]byte(passphrase), snapshot.MaxCost); err != nil {
			b.Fatal(err)
		}
		ours, theirs = ours+between.Sub(start), theirs+time.Since(between)
		if err := s.Client().Lock(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "×hash")
}

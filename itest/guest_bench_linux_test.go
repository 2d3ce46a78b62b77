package itest

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

var against = flag.String("against", "", "another program, whose rates BenchmarkLoneGuest compares with")

// BenchmarkLoneGuest measures the requests a second of a peer who is alone, and how many
// times those of another program they are (-against), in turns within one run. Run it
// with -benchtime 1x.
func BenchmarkLoneGuest(b *testing.B) {
	if *against == "" {
		b.Skip("nothing to compare with: see -against")
	}
	path, err := shnode()
	if err != nil {
		b.Fatal(err)
	}
	var lone []*loner
	for _, program := range []string{path, *against} {
		first, err := makeHouse(program, b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		all := guests(b, "mallory")
		newHouseOf(b, program, first, all, guestPolicy)
		lone = append(lone, newLoner(b, all["mallory"]))
	}
	for _, kind := range []string{"sign", "generate", "put", "get", "recover", "list"} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind, callers), func(b *testing.B) {
				var done [2]int64
				for range b.N {
					for _, l := range lone { // until all is warm
						l.asks(b, kind, callers, 100*time.Millisecond)
					}
					for range 6 {
						for i, l := range lone {
							done[i] += l.asks(b, kind, callers, 250*time.Millisecond)
						}
					}
				}
				b.ReportMetric(float64(done[0])/(1.5*float64(b.N)), "requests/s")
				b.ReportMetric(float64(done[0])/float64(done[1]), "×against")
			})
		}
	}
}

// A loner is a guest who asks over streams with 16 requests under way each, at most.
type loner struct {
	streams []protocol.Client
	a       *attacker // whose requests he makes
}

func newLoner(b *testing.B, g *guest) *loner {
	b.Helper()
	l := &loner{a: new(attacker)}
	for range 4 {
		l.streams = append(l.streams, g.client(b))
	}
	resp, err := l.streams[0].Do(b.Context(), &protocol.Request{Operation: "zone.key", Location: at("inbox/a/b")})
	if err != nil {
		b.Fatal(err)
	}
	l.a.zone = resp.PublicKey
	for _, before := range []func(context.Context, protocol.Client) error{makeMine, putBig} {
		if err := before(b.Context(), l.streams[0]); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

// asks is how many requests are answered in such a time.
func (l *loner) asks(b *testing.B, kind string, callers int, d time.Duration) int64 {
	b.Helper()
	var n, done atomic.Int64
	var all sync.WaitGroup
	request := assaultKinds[kind].request
	for start, i := time.Now(), 0; i < callers; i++ {
		c := l.streams[i/16]
		all.Go(func() {
			for time.Since(start) < d {
				if _, err := c.Do(b.Context(), request(l.a, int(n.Add(1)))); err != nil {
					b.Error(err)
					return
				}
				if time.Since(start) < d {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	return done.Load()
}

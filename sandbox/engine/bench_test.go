package engine

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// million is how many records a large Stronghold has.
const million = 1_000_000

// keyAt is where fill puts key i.
func keyAt(i int) *protocol.Location {
	return &protocol.Location{Client: []byte("c"), Vault: []byte("v"), Record: strconv.AppendInt([]byte("key-"), int64(i), 10)}
}

// fill puts n Ed25519 keys into e. They are one key: what costs is where they are, not what.
func fill(b *testing.B, e *Engine, n int) {
	b.Helper()
	made, err := procedures.GenerateKey(e.arena, vault.Ed25519)
	if err != nil {
		b.Fatal(err)
	}
	defer made.Secret.Destroy()
	made.Secret.Use(func(secret []byte) error {
		for i := 0; i < n; {
			c, err := e.state.DB.Stage(func(tx *vault.Tx) error {
				for range min(1000, n-i) {
					if _, err := tx.Put(place(keyAt(i)), vault.Value{Kind: vault.Ed25519, Flags: vault.Sign, Secret: secret}, false); err != nil {
						return err
					}
					i++
				}
				return nil
			})
			if err == nil {
				err = e.state.DB.Commit(c.Sequence)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		return nil
	})
}

// medianOf is the median time of f over a few rounds, taken in turns with the other one.
func inTurns(rounds int, f, g func()) (a, b time.Duration) {
	var as, bs []time.Duration
	for range rounds {
		start := time.Now()
		f()
		middle := time.Now()
		g()
		as, bs = append(as, middle.Sub(start)), append(bs, time.Since(middle))
	}
	slices.Sort(as)
	slices.Sort(bs)
	return as[rounds/2], bs[rounds/2]
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What a million records cost beside few: their memory, a signature with a random
// one, a page of a listing.
func BenchmarkMillion(b *testing.B) {
	few, _ := opened(b)
	fill(b, few, 10)
	some, _ := opened(b)
	fill(b, some, 1000)
	many, _ := opened(b)
	before := heap()
	fill(b, many, million)
	perRecord := float64(heap()-before) / million

	ask := func(e *Engine, req *protocol.Request) *protocol.Response {
		req.Id = protocol.NewID()
		resp, err := e.Handle(context.Background(), req)
		if err != nil || resp.Status != protocol.Status_OK {
			b.Fatal(resp, err)
		}
		return resp
	}
	message := make([]byte, 32)
	rand.Read(message)
	signs := func(e *Engine, n int) func() {
		return func() {
			for range 200 {
				ask(e, &protocol.Request{Operation: "ed25519.sign", Location: keyAt(mathrand.IntN(n)), Message: message})
			}
		}
	}
	var after []byte
	lists := func(e *Engine, after []byte) func() {
		return func() {
			for range 10 {
				ask(e, &protocol.Request{Operation: "record.list", Location: &protocol.Location{Client: []byte("c")}, Limit: 100, After: after})
			}
		}
	}
	after = ask(many, &protocol.Request{Operation: "record.list", Limit: 1000}).Next
	for b.Loop() {
		one, another := inTurns(31, signs(many, million), signs(few, 10))
		page, small := inTurns(31, lists(many, after), lists(some, nil))
		b.ReportMetric(float64(one)/float64(another), "sign/of-10")
		b.ReportMetric(float64(page)/float64(small), "page/of-1000")
	}
	b.ReportMetric(perRecord, "heap-B/record")
	b.ReportMetric(0, "ns/op")
}

// What it costs to make and keep a key beside making it alone.
func BenchmarkCreate(b *testing.B) {
	e, _ := opened(b)
	i := 0
	keep := func() {
		for range 100 {
			req := &protocol.Request{Id: protocol.NewID(), Operation: "key.generate", Location: keyAt(i), Kind: protocol.Ed25519}
			i++
			resp, err := e.Handle(context.Background(), req)
			if err != nil || resp.Status != protocol.Status_OK {
				b.Fatal(resp, err)
			}
			e.Handle(context.Background(), &protocol.Request{Id: protocol.NewID(), Operation: "zone.commit", Sequence: resp.Change.Sequence})
		}
	}
	alone := func() {
		for range 100 {
			made, err := procedures.GenerateKey(e.arena, vault.Ed25519)
			if err != nil {
				b.Fatal(err)
			}
			made.Secret.Destroy()
		}
	}
	for b.Loop() {
		kept, made := inTurns(101, keep, alone)
		b.ReportMetric(float64(made)/float64(kept), "rate/keys-alone")
		b.ReportMetric(float64(kept)/100, "ns/key")
	}
	b.ReportMetric(0, "ns/op")
}

// Reading goes on on all cores: signatures with as many callers as there are
// cores, beside those of one; and those of one caller while another writes.
func BenchmarkReaders(b *testing.B) {
	e, _ := opened(b)
	fill(b, e, 1000)
	message := make([]byte, 32)
	signs := func(n int) {
		for range n {
			resp, err := e.Handle(context.Background(), &protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign",
				Location: keyAt(mathrand.IntN(1000)), Message: message})
			if err != nil || resp.Status != protocol.Status_OK {
				b.Error(resp, err)
				return
			}
		}
	}
	cores := runtime.GOMAXPROCS(0)
	for b.Loop() {
		all, one := inTurns(21, func() {
			var callers sync.WaitGroup
			for range cores {
				callers.Go(func() { signs(500) })
			}
			callers.Wait()
		}, func() { signs(500) })
		b.ReportMetric(float64(cores)*float64(one)/float64(all), "all-cores/one")
	}
	b.ReportMetric(0, "ns/op")
}

package engine

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// BenchmarkServeSign measures what the zone does for one signature, from the
// encoded request to the encoded answer, against the standard library's.
func BenchmarkServeSign(b *testing.B) {
	e, _ := opened(b)
	do(b, e, generate(b, "bench/keys/main"))
	message := make([]byte, 32)
	request, err := protocol.Marshal(&protocol.Request{Id: protocol.NewID(), Operation: "ed25519.sign",
		Location: at(b, "bench/keys/main"), Message: message})
	if err != nil {
		b.Fatal(err)
	}
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	var ours, theirs time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(b.N-done, 100)
		start := time.Now()
		for range n {
			if _, err := e.Serve(b.Context(), request); err != nil {
				b.Fatal(err)
			}
		}
		ours += time.Since(start)
		b.StopTimer()
		start = time.Now()
		for range n {
			ed25519.Sign(private, message)
		}
		theirs += time.Since(start)
		b.StartTimer()
		done += n
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-std-sign")
}

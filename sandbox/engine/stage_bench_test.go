package engine

import (
	"fmt"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// BenchmarkServeStage measures what the zone does for one small change of those that
// come together, from the encoded request to the encoded answer.
func BenchmarkServeStage(b *testing.B) {
	e, _ := opened(b)
	const together = 32
	var groups [][]byte
	for i := range 32 {
		group, err := protocol.Marshal(&protocol.Request{Id: protocol.NewID(), Operation: "zone.stage"})
		if err != nil {
			b.Fatal(err)
		}
		for k := range together {
			step, err := protocol.Marshal(&protocol.Request{Id: protocol.NewID(), Operation: "store.put",
				Location: &protocol.Location{Client: []byte("c"), Vault: fmt.Append(nil, "key ", i*together+k)}, Value: []byte("value")})
			if err != nil {
				b.Fatal(err)
			}
			group = protocol.AppendStep(group, step)
		}
		groups = append(groups, group)
	}
	var last uint64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		request := groups[i%len(groups)]
		if last != 0 {
			request = protocol.AppendDurable(request[:len(request):len(request)], last)
		}
		answer, err := e.Serve(b.Context(), request)
		if err != nil {
			b.Fatal(err)
		}
		resp := new(protocol.Response)
		if err := protocol.Unmarshal(answer, resp); err != nil || len(resp.Results) != together {
			b.Fatal(resp, err)
		}
		last = resp.Results[together-1].Change.Sequence
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/together, "ns/change")
}

package itest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// waits are how long an honest peer waited for his signatures, in their order of length.
type waits []time.Duration

func (w waits) quantile(q float64) time.Duration { return w[int(q*float64(len(w)-1))] }

// signing has an honest peer sign, again when the last signature has come, for so long, and
// at least three times.
func signing(t testing.TB, c protocol.Client, d time.Duration) waits {
	t.Helper()
	var w waits
	for start := time.Now(); len(w) < 3 || time.Since(start) < d; {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := c.Sign(ctx, at("wallet/keys/main"), []byte("m"))
		cancel()
		if err != nil {
			t.Fatalf("the honest peer: %v", err)
		}
		w = append(w, time.Since(begun))
	}
	slices.Sort(w)
	return w
}

// fairPolicy is guestPolicy for several.
func fairPolicy(names []string) string {
	return strings.Replace(guestPolicy, `"mallory"`, `"`+strings.Join(names, `", "`)+`"`, 1)
}

var attackers = []string{"mallory", "mike", "moe", "mort"}

// fairKinds are what attackers may ask at full tilt.
var fairKinds = []string{"sign", "generate", "put", "get", "recover", "marks", "pipeline", "list"}

// underAttack is what an honest peer waits while so many attackers ask for something, and
// before.
func underAttack(t testing.TB, kind string, n int, quietFor, attackedFor time.Duration) (quiet, attacked waits, got []tally) {
	t.Helper()
	names := attackers[:n]
	all := guests(t, names...)
	newHouse(t, all, fairPolicy(names))
	honest := all["honest"].client(t)
	signing(t, honest, quietFor/2) // until all is warm
	quiet = signing(t, honest, quietFor)
	var raids []*raid
	for _, name := range names {
		raids = append(raids, all[name].attack(t, assault{Kind: kind, Streams: 4, InFlight: 16, Aside: true}))
	}
	time.Sleep(quietFor / 2) // until all is under way
	attacked = signing(t, honest, attackedFor)
	for _, r := range raids {
		got = append(got, r.stop(t))
	}
	return quiet, attacked, got
}

// With attackers at full tilt an honest peer's signatures still come. The strict bound is
// for the long run: here other tests want the processors too.
func TestAttackFairness(t *testing.T) {
	p50, p99 := longer(5.0, 3.0), longer(30.0, 10.0)
	for _, n := range longer([]int{4}, []int{1, 4}) {
		for _, kind := range fairKinds {
			t.Run(fmt.Sprintf("%s by %d", kind, n), func(t *testing.T) {
				var told []string
				for range 3 { // a machine that is busy otherwise is no fault of the node
					quiet, attacked, got := underAttack(t, kind, n, longer(300*time.Millisecond, 3000*time.Millisecond), longer(1500*time.Millisecond, 10000*time.Millisecond))
					ratio := func(q float64) float64 { return float64(attacked.quantile(q)) / float64(quiet.quantile(q)) }
					told = append(told, fmt.Sprintf("p50 %v, %.1f × the quiet one; p99 %v, %.1f ×; %d signatures; the attackers got %v",
						attacked.quantile(0.5), ratio(0.5), attacked.quantile(0.99), ratio(0.99), len(attacked), got))
					if ratio(0.5) <= p50 && ratio(0.99) <= p99 {
						t.Log(told[len(told)-1])
						return
					}
				}
				t.Errorf("the honest peer waits: %s", strings.Join(told, "\n"))
			})
		}
	}
}

// A listing by a peer who may see nothing of what there is looks at little of it.
func TestAttackListing(t *testing.T) {
	all := guests(t, "mallory")
	h := newHouse(t, all, guestPolicy)
	h.fill(t, longer(8000, 100000))
	honest := all["honest"].client(t)
	signing(t, honest, 200*time.Millisecond)
	quiet := signing(t, honest, longer(500*time.Millisecond, 3000*time.Millisecond))
	r := all["mallory"].attack(t, assault{Kind: "list", Streams: 4, InFlight: 16, Aside: true})
	time.Sleep(200 * time.Millisecond)
	attacked := signing(t, honest, longer(2*time.Second, 10*time.Second))
	y := r.stop(t)
	ratio := float64(attacked.quantile(0.5)) / float64(quiet.quantile(0.5))
	if told := fmt.Sprintf("p50 is %v, and %v when it is quiet; the attacker got %v", attacked.quantile(0.5), quiet.quantile(0.5), y); ratio > longer(5.0, 3.0) {
		t.Error(told)
	} else {
		t.Log(told)
	}
}

// fill has the owner make so many records that no peer sees.
func (h *house) fill(t testing.TB, n int) {
	t.Helper()
	for i := 0; i < n; i += 64 {
		req := &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run"}
		for j := range 64 {
			req.Steps = append(req.Steps, ask("key.generate", fmt.Sprintf("hidden/keys/%d", i+j), func(r *protocol.Request) { r.Kind = protocol.Ed25519 }))
		}
		h.must(t, req)
	}
}

// BenchmarkHonestUnderAttack measures what an honest peer waits for a signature while
// attackers ask for something at full tilt, as a multiple of what he waits when it is quiet.
func BenchmarkHonestUnderAttack(b *testing.B) {
	for _, n := range []int{1, 4} {
		for _, kind := range fairKinds {
			b.Run(fmt.Sprintf("%s/attackers=%d", kind, n), func(b *testing.B) {
				for range b.N {
					quiet, attacked, _ := underAttack(b, kind, n, time.Second, longer(2*time.Second, 10*time.Second))
					for _, q := range []float64{0.5, 0.99} {
						b.ReportMetric(float64(attacked.quantile(q))/float64(quiet.quantile(q)), fmt.Sprintf("p%.0f/quiet", 100*q))
					}
				}
			})
		}
	}
}

package permissions

import (
	"fmt"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// someRules is a policy of n rules, a tenth of which deny, where the laptop may
// sign with client/vault0/main. Each is about places of its own.
func someRules(t testing.TB, n int, pattern string) *Rules {
	lines := []string{"allow laptop use client/vault0/*"}
	for i := 1; i < n; i++ {
		verb := "allow"
		if i%10 == 0 {
			verb = "deny"
		}
		lines = append(lines, fmt.Sprintf("%s laptop,eve use,list "+pattern, verb, i))
	}
	return rules(t, lines...)
}

func signing(t testing.TB) (*protocol.Operation, []protocol.Access) {
	op := operation(t, "ed25519.sign")
	return op, op.Accesses(&protocol.Request{Location: location(t, "client/vault0/main")})
}

func TestCheckDoesNotAllocate(t *testing.T) {
	r := someRules(t, 10, "client/vault%d/*")
	op, accesses := signing(t)
	list := operation(t, "record.list")
	client := list.Accesses(&protocol.Request{Location: location(t, "client")})
	head, version := location(t, "client/vault1/@head"), location(t, "client/vault1/@7")
	for name, f := range map[string]func() bool{
		"check":   func() bool { return r.Check(laptopID, op, accesses).Allowed },
		"prefix":  func() bool { return r.Check(laptopID, list, client).Allowed },
		"list":    func() bool { return r.MayList(laptopID, head) && r.MayList(laptopID, version) },
		"denied":  func() bool { return !r.Check(eveID, op, accesses).Allowed },
		"unknown": func() bool { return !r.Check("nobody", op, accesses).Allowed },
	} {
		if !f() {
			t.Errorf("%s: wrong answer", name)
		}
		if n := testing.AllocsPerRun(100, func() { f() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The time of a decision under ten rules, and under a thousand as a multiple of
// it. Rules whose client has a star must be looked at one by one.
func BenchmarkCheck(b *testing.B) {
	op, accesses := signing(b)
	run := func(b *testing.B, r *Rules, n int) time.Duration {
		start := time.Now()
		for range n {
			if !r.Check(laptopID, op, accesses).Allowed {
				b.Fatal("denied")
			}
		}
		return time.Since(start)
	}
	base := someRules(b, 10, "client/vault%d/*")
	for _, c := range []struct {
		name, pattern string
		rules         int
	}{
		{"rules=10", "client/vault%d/*", 10},
		{"rules=1000", "client/vault%d/*", 1000},
		{"rules=1000/stars", "client%d*/**", 1000},
	} {
		r := someRules(b, c.rules, c.pattern)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var took, baseTook time.Duration
			// In turns, so that both see the same machine.
			for left := b.N; left > 0; left -= 1000 {
				n := min(left, 1000)
				baseTook += run(b, base, n)
				took += run(b, r, n)
			}
			b.ReportMetric(float64(took)/float64(b.N), "ns/check")
			b.ReportMetric(float64(took)/float64(baseTook), "x-10-rules")
			b.ReportMetric(0, "ns/op") // holds both
		})
	}
}

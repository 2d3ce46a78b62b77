package itest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/engine/zone"
)

// BenchmarkStartZone measures a zone with the engine, which holds no key yet: how
// long its start takes, and how much memory that is no file's it has.
func BenchmarkStartZone(b *testing.B) {
	var took, anonymous []float64
	for b.Loop() {
		start := time.Now()
		z, err := sandbox.Start(b.Context(), sandbox.Config{Name: zone.Name})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start).Seconds()*1e3)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", z.Status().PID))
		if err != nil {
			b.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^RssAnon:\s+(\d+) kB$`).FindSubmatch(status)
		if line == nil {
			b.Fatalf("no anonymous memory in %s", status)
		}
		kB, err := strconv.Atoi(string(line[1]))
		if err != nil {
			b.Fatal(err)
		}
		anonymous = append(anonymous, float64(kB)/1024)
		z.Close()
	}
	slices.Sort(took)
	slices.Sort(anonymous)
	b.ReportMetric(took[len(took)/2], "ms-to-ready")
	b.ReportMetric(anonymous[len(anonymous)/2], "anonymous-MiB")
}

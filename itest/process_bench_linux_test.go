package itest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/itest/ratio"
	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

// BenchmarkSignProcess measures a signature asked of a node that is a process of
// its own, as it is in use, by its socket; ratio.Sign says what the columns are,
// and node-µs, zone-µs are how long a processor works on one signature there.
func BenchmarkSignProcess(b *testing.B) {
	p := run(b, newHome(b))
	conn, err := control.Dial(b.Context(), p.home)
	if err != nil {
		b.Fatal(err)
	}
	unlock(b, conn)
	makeKey(b, conn)
	st, err := protocol.Client{H: conn}.Status(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	conn.Close() // a node admits 64
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			sign := make([]ratio.Signer, callers)
			for i := range sign {
				sign[i] = by(dialSocket(b, p.home))
			}
			node, zone := cpuTime(b, p.cmd.Process.Pid), cpuTime(b, int(st.Zone.Pid))
			ratio.Sign(b, sign)
			b.ReportMetric((cpuTime(b, p.cmd.Process.Pid)-node)/float64(b.N), "node-µs")
			b.ReportMetric((cpuTime(b, int(st.Zone.Pid))-zone)/float64(b.N), "zone-µs")
		})
	}
}

// cpuTime is how long processors have worked for the threads of a process, in
// microseconds. Those that have ended are not in it; a Go program keeps them.
func cpuTime(b *testing.B, pid int) float64 {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		b.Fatalf("no threads of %d: %v", pid, err)
	}
	total := 0
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		ns, err := strconv.Atoi(strings.Fields(string(stat))[0])
		if err != nil {
			b.Fatal(err)
		}
		total += ns
	}
	return float64(total) / 1e3
}

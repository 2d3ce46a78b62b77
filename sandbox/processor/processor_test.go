package processor

import (
	"slices"
	"testing"
	"time"
)

// TestChoice: a caller waits where he is found again and again, and now and then the kernel chooses anew.
func TestChoice(t *testing.T) {
	type call struct {
		after time.Duration
		here  int
		want  int
	}
	row := func(n int, c call) []call { return slices.Repeat([]call{c}, n) }
	const soon = time.Millisecond
	begun := slices.Concat([]call{{0, 3, None}}, row(enough-1, call{soon, 3, None}), []call{{soon, 3, 3}})
	then := func(calls ...call) []call { return slices.Concat(begun, calls) }
	for name, calls := range map[string][]call{
		"many":          then(row(10, call{soon, 3, 3})...),
		"far apart":     row(3*enough, call{inARow + 1, 3, None}),
		"a pause":       slices.Concat(begun, []call{{inARow + 1, 3, None}}, begun[1:]),
		"processor 0":   slices.Concat(row(enough, call{soon, 0, None}), []call{{soon, 0, 0}}),
		"away and back": then(call{soon, 5, None}, call{soon, 3, 3}),
		"away for good": slices.Concat(begun, row(moves, call{soon, 5, None}), []call{{soon, 5, 5}, {soon, 3, None}}),
		"not known":     row(3*enough, call{soon, None, None}),
		"anew":          slices.Concat(begun, row(int(lasts/soon), call{soon, 3, 3}), []call{{soon, 3, None}, {soon, 7, 7}}),
	} {
		t.Run(name, func(t *testing.T) {
			var c Choice
			now := time.Now()
			for i, call := range calls {
				now = now.Add(call.after)
				if got := c.next(now, call.here); got != call.want {
					t.Fatalf("call %d: %d, want %d", i, got, call.want)
				}
			}
			c.Break()
			for i := range enough {
				if got := c.next(now, 3); got != None {
					t.Fatalf("call %d after a break: %d", i, got)
				}
			}
		})
	}
}

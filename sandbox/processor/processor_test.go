package processor

import (
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
	row := func(n int, c call) []call {
		var cs []call
		for range n {
			cs = append(cs, c)
		}
		return cs
	}
	const soon = time.Millisecond
	for name, calls := range map[string][]call{
		"the first is not yet one of many": {{0, 3, None}, {soon, 3, 3}, {soon, 3, 3}},
		"too far apart":                    {{0, 3, None}, {inARow + 1, 3, None}, {inARow + 1, 3, None}},
		"a pause":                          {{0, 3, None}, {soon, 3, 3}, {inARow + 1, 3, None}, {soon, 3, 3}},
		"processor 0":                      {{0, 0, None}, {soon, 0, 0}},
		"away and back":                    {{0, 3, None}, {soon, 3, 3}, {soon, 5, None}, {soon, 3, 3}},
		"away for good":                    append(append([]call{{0, 3, None}, {soon, 3, 3}}, row(moves, call{soon, 5, None})...), call{soon, 5, 5}, call{soon, 3, None}),
		"not known":                        row(10, call{soon, None, None}),
		"anew":                             append(append([]call{{0, 3, None}}, row(int(lasts/soon)+1, call{soon, 3, 3})...), call{soon, 3, None}, call{soon, 7, 7}),
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
		})
	}
}

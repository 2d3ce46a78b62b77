package primitive

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// What takes long lets others have the only processor there is, many times: without it
// they would have it once in 10 ms, if that.
func TestGivesWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	text := []byte(strings.Repeat("a", 64*yieldRunes))
	room := make([]byte, 0, len(text))
	for what, tt := range map[string]struct {
		times int64
		do    func()
	}{
		"PBKDF2":         {2048 / yieldRounds, func() { SHA512.PBKDF2(make([]byte, 64), nil, nil, 2048) }},
		"a long message": {64, func() { SHA512.Sum(make([]byte, 64), make([]byte, 65*yieldBytes)) }},
		"a long text":    {64, func() { appendNFKD(room, text) }},
	} {
		var turns atomic.Int64
		var stop atomic.Bool
		started, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			close(started)
			for !stop.Load() {
				turns.Add(1)
				runtime.Gosched()
			}
		}()
		<-started
		before := turns.Load()
		tt.do()
		n := turns.Load() - before
		stop.Store(true)
		<-ended
		if n < tt.times/2 {
			t.Errorf("%s: others had %d turns, want about %d", what, n, tt.times)
		}
	}
}

package engine

import "runtime/debug"

// The collector lets the heap grow by as much as lives before it looks again. That
// is right for a small heap and much for a large one, nearly all of which are
// records that stay: from manyRecords on it may grow by frugalPercent.
const (
	manyRecords   = 50_000
	frugalPercent = 35
)

// frugal has the heap of a process with many records grow by less.
func (e *Engine) frugal() {
	if e.state.DB.Live() >= manyRecords && e.frugally.CompareAndSwap(false, true) {
		debug.SetGCPercent(frugalPercent)
	}
}

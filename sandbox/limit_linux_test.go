package sandbox

import (
	"errors"
	"testing"
)

// A zone with a bound ends where its handler takes more, and works as any other where not.
func TestMemoryIsBounded(t *testing.T) {
	if unfiltered != "" {
		t.Skip("the race detector takes memory of its own")
	}
	const memory = 384 << 20
	z := start(t, Config{Name: "test", Workers: 1, Memory: memory})
	for range 8 { // what was given up counts no more
		if b, err := do(z, 'n', number(MaxPayload)); err != nil || len(b) != MaxPayload {
			t.Fatalf("within its bound: %d bytes, %v", len(b), err)
		}
	}
	var ended *EndedError
	if _, err := do(z, 'n', number(memory+ownMemory+1)); !errors.As(err, &ended) || ended.Reason != ReasonExit {
		t.Errorf("beyond its bound: %v", err)
	}
	free := start(t, Config{Name: "test", Workers: 1})
	if _, err := do(free, 'n', number(memory+ownMemory+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("without a bound: %v", err)
	}
}

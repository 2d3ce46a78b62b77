package main

import (
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// Whoever asks exec for an operation with a proof is told of the command that makes one.
func TestProvenBy(t *testing.T) {
	n := 0
	for _, op := range protocol.Operations {
		for _, f := range op.In {
			if !strings.Contains(f.Doc, "a message Proof") {
				continue
			}
			if n++; provenBy[op.Name] == "" {
				t.Errorf("%s: no command is known", op.Name)
			}
		}
	}
	if n != len(provenBy) {
		t.Errorf("%d operations take a proof, %d commands make one", n, len(provenBy))
	}
}

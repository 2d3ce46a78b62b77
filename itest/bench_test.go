package itest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"github.com/stronghold-go/stronghold/itest/ratio"
	"github.com/stronghold-go/stronghold/protocol"
)

// BenchmarkSign measures one Ed25519 signature of a 32-byte message, by each way
// to a key; ratio.Sign says what the columns are. The nodes' own work is in them,
// and that of the callers too. The two nodes of the peer row are in this process;
// each has a zone of its own.
func BenchmarkSign(b *testing.B) {
	for _, way := range []struct {
		name string
		open func(*testing.B) signers
	}{
		{"library", libraryKey},
		{"zone", zoneKey},
		{"socket", socketKey},
		{"peer", peerKey},
	} {
		b.Run(way.name, func(b *testing.B) {
			s := way.open(b)
			for _, callers := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { ratio.Sign(b, s(b, callers)) })
			}
		})
	}
}

// signers gives each caller his way to the same key.
type signers func(b *testing.B, callers int) []ratio.Signer

var benchKey = &protocol.Location{Client: []byte("bench"), Vault: []byte("keys"), Record: []byte("main")}

// same gives every caller the same way.
func same(s ratio.Signer) signers {
	return func(_ *testing.B, callers int) []ratio.Signer { return slices.Repeat([]ratio.Signer{s}, callers) }
}

// by signs with the key that h keeps.
func by(h protocol.Handler) ratio.Signer {
	return func(ctx context.Context, message []byte) ([]byte, error) {
		return protocol.Client{H: h}.Sign(ctx, benchKey, message)
	}
}

// makeKey makes the key, and signs once with it, so that its way is open.
func makeKey(b *testing.B, h protocol.Handler) {
	b.Helper()
	public, err := protocol.Client{H: h}.GenerateKey(b.Context(), benchKey, protocol.Ed25519, false)
	if err != nil {
		b.Fatal(err)
	}
	message := []byte("a message")
	if sig, err := by(h)(b.Context(), message); err != nil || !ed25519.Verify(public, message, sig) {
		b.Fatalf("the first signature: %v", err)
	}
}

func libraryKey(b *testing.B) signers {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	return same(func(_ context.Context, message []byte) ([]byte, error) { return ed25519.Sign(private, message), nil })
}

func zoneKey(b *testing.B) signers {
	tg := engineTarget(overPipe(newPipe(b)))
	tg.unlock(b)
	makeKey(b, tg.handler)
	return same(by(tg.engine))
}

// socketKey gives each caller a connection, as if each were a program.
func socketKey(b *testing.B) signers {
	n := newNode(b)
	serveSocket(b, n)
	unlock(b, n.node.Local())
	makeKey(b, n.node.Local())
	return func(b *testing.B, callers int) []ratio.Signer {
		sign := make([]ratio.Signer, callers)
		for i := range sign {
			sign[i] = by(dialSocket(b, n.Home()))
		}
		return sign
	}
}

// peerKey has all callers share one stream, as a node's callers do.
func peerKey(b *testing.B) signers {
	asker, n := newPair(b)
	unlock(b, n.node.Local())
	makeKey(b, asker.node.Remote("b"))
	return same(by(asker.node.Remote("b")))
}

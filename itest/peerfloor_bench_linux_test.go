package itest

import (
	"context"
	"crypto/ed25519"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/itest/ratio"
)

// BenchmarkPeerFloor measures what the machine and libp2p ask for a signature by a
// peer: two hosts in this process do nothing but hand a message over one stream of
// TCP, Noise and Yamux, and by a pipe to a process that signs with the standard
// library. It is what Sign/peer/callers=1 can be compared with: no messages, policy,
// deadlines, or secrets.
func BenchmarkPeerFloor(b *testing.B) {
	const bare = "/bare/1.0.0"
	asker, relay := bareHost(b), bareHost(b)
	toSigner, toRelay := pipeOf(b), pipeOf(b)
	signer := startBare(b, floorSigner, toSigner[0], toRelay[1])
	toSigner[0].Close()
	toRelay[1].Close()
	out, in := int(toSigner[1].Fd()), int(toRelay[0].Fd()) // as of now they block
	ended := make(chan struct{})
	b.Cleanup(func() { // the end of the stream ends the relay's loop, and that of the pipe the signer
		<-ended
		toSigner[1].Close()
		toRelay[0].Close()
		signer.Wait()
	})
	relay.SetStreamHandler(bare, func(s network.Stream) {
		defer close(ended)
		defer s.Close()
		message, signature := make([]byte, 128), make([]byte, ed25519.SignatureSize)
		for {
			n, err := s.Read(message)
			if err != nil {
				return
			}
			unix.Write(out, message[:n])
			if n, err = unix.Read(in, signature); err != nil || n == 0 {
				return
			}
			s.Write(signature[:n])
		}
	})
	if err := asker.Connect(b.Context(), peer.AddrInfo{ID: relay.ID(), Addrs: relay.Addrs()}); err != nil {
		b.Fatal(err)
	}
	s, err := asker.NewStream(b.Context(), relay.ID(), bare)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	sign := func(_ context.Context, message []byte) ([]byte, error) {
		if _, err := s.Write(message); err != nil {
			return nil, err
		}
		signature := make([]byte, ed25519.SignatureSize)
		_, err := io.ReadFull(s, signature)
		return signature, err
	}
	if _, err := sign(b.Context(), []byte("so that the stream is open")); err != nil {
		b.Fatal(err)
	}
	ratio.Sign(b, []ratio.Signer{sign})
}

// bareHost is a host with the transports of a node, and nothing else of one.
func bareHost(b *testing.B) host.Host {
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
	)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	return h
}

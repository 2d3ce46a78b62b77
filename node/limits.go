package node

import (
	"cmp"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libp2pprotocol "github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/stronghold-go/stronghold/protocol"
)

// Limits bound what others can make the node spend. Zero means the default.
// They are set one by one because libp2p's own break a fleet: 8 connections
// from one address, one new one in five seconds, 75 streams of one peer.
type Limits struct {
	Conns             int           // connections in all; 4096
	ConnsPerPeer      int           // 8
	ConnsPerIP        int           // from one IPv4 address or IPv6 /56; 1024: a fleet may stand behind one NAT
	Handshakes        int           // connections that have not proven who they are; 512. A quarter is kept for where known peers were seen
	HandshakesPerIP   int           // of those from one IPv4 address or IPv6 /64; 16
	HandshakeTime     time.Duration // for each; 5 s
	DialsPerSecond    int           // new connections from one address, after a burst of 512; 50
	StreamsPerPeer    int           // that a peer may have open; 16
	InFlight          int           // requests of one stream under way; 64
	RequestsPerSecond int           // of one peer, after a burst of as many; 200,000
	InFlightPerPeer   int           // requests of one peer under way, over all its streams; 256
	BytesPerPeer      int           // of the frames of those requests; 8 MiB
	AnswersPerPeer    int           // bytes of large answers that a peer has not read yet, or that are being made; 8 MiB
	FrameTimeout      time.Duration // for a frame that has begun to arrive; 10 s
	MemoryPerPeer     int           // libp2p's buffers included; 64 MiB
	Memory            int           // for all peers; 1 GiB
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Conns:             cmp.Or(l.Conns, 4096),
		ConnsPerPeer:      cmp.Or(l.ConnsPerPeer, 8),
		ConnsPerIP:        cmp.Or(l.ConnsPerIP, 1024),
		Handshakes:        cmp.Or(l.Handshakes, 512),
		HandshakesPerIP:   cmp.Or(l.HandshakesPerIP, 16),
		HandshakeTime:     cmp.Or(l.HandshakeTime, 5*time.Second),
		DialsPerSecond:    cmp.Or(l.DialsPerSecond, 50),
		StreamsPerPeer:    cmp.Or(l.StreamsPerPeer, 16),
		InFlight:          cmp.Or(l.InFlight, protocol.DefaultInFlight),
		RequestsPerSecond: cmp.Or(l.RequestsPerSecond, 200_000),
		InFlightPerPeer:   cmp.Or(l.InFlightPerPeer, 256),
		FrameTimeout:      cmp.Or(l.FrameTimeout, protocol.DefaultFrameTimeout),
		// A frame that does not fit could never be admitted.
		BytesPerPeer:   max(cmp.Or(l.BytesPerPeer, 8<<20), protocol.MaxFrame),
		AnswersPerPeer: max(cmp.Or(l.AnswersPerPeer, 8<<20), protocol.MaxFrame),
		MemoryPerPeer:  cmp.Or(l.MemoryPerPeer, 64<<20),
		Memory:         cmp.Or(l.Memory, 1<<30),
	}
}

// otherStreams is what a peer needs beside ours: identify and its like.
const otherStreams = 16

// manager is the libp2p side of the limits.
func (l Limits) manager() (network.ResourceManager, error) {
	conns := func(n int) rcmgr.ResourceLimits {
		return rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(n), ConnsInbound: rcmgr.LimitVal(n), ConnsOutbound: rcmgr.LimitVal(n), FD: rcmgr.LimitVal(n),
		}
	}
	system := conns(l.Conns)
	system.Memory = rcmgr.LimitVal64(l.Memory)
	handshakes := conns(l.Handshakes)
	handshakes.Memory = rcmgr.LimitVal64(l.Memory / 4)
	peers := conns(l.ConnsPerPeer)
	peers.Memory = rcmgr.LimitVal64(l.MemoryPerPeer)
	peers.StreamsInbound = rcmgr.LimitVal(l.StreamsPerPeer + otherStreams)
	ours := rcmgr.ResourceLimits{StreamsInbound: rcmgr.LimitVal(l.StreamsPerPeer)}
	concrete := rcmgr.PartialLimitConfig{
		System:       system,
		Transient:    handshakes,
		PeerDefault:  peers,
		ProtocolPeer: map[libp2pprotocol.ID]rcmgr.ResourceLimits{protocol.ID: ours},
	}.Build(rcmgr.InfiniteLimits)

	// A home or a hoster gives a whole IPv6 /56 to one customer, as it gives one IPv4 address.
	const v4, v6 = 32, 56
	perIP := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: l.ConnsPerIP}}
	}
	dials := func(bits int) []rate.SubnetLimit {
		return []rate.SubnetLimit{{PrefixLength: bits, Limit: rate.Limit{RPS: float64(l.DialsPerSecond), Burst: 512}}}
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(concrete),
		rcmgr.WithLimitPerSubnet(perIP(v4), perIP(v6)),
		rcmgr.WithConnRateLimiters(&rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: dials(v4), IPv6SubnetLimits: dials(v6), GracePeriod: time.Minute}}),
		rcmgr.WithMetricsDisabled())
}

// muxer is Yamux with a window of one frame: libp2p's 16 MiB are what a stream
// may make the node hold while it is not being read.
func muxer() (string, network.Multiplexer) {
	cfg := *yamux.DefaultTransport
	cfg.MaxStreamWindowSize = protocol.MaxFrame
	return yamux.ID, &cfg
}

// Package node puts a Stronghold on a libp2p network, behind its policy.
//
// A [Node] has two doors. [Node.Local] is for the user of this machine: it
// answers everything the local Stronghold answers, knows peers by name, and
// hands on what is meant for one of them. Peers come in by libp2p streams of
// protocol.ID: TCP, Noise, Yamux, and nobody whom the peer list does not name
// gets past the handshake. What a peer asks is held against the policy before
// anything else looks at it; to a peer without the right, a record that exists
// and one that does not are the same answer.
//
// [Node.Remote] asks another node. All callers share one long-lived stream to
// each peer, with many requests in flight.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/fx"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

// userAgent is what this node calls itself to its peers. It tells no version:
// that is for the peers who may ask for it.
const userAgent = "stronghold"

// Local is a Stronghold without a network.
type Local interface {
	protocol.Handler
	// HandleFor is Handle for a peer. It calls staged when all that a change still waits for is the disk, if it comes to that.
	HandleFor(ctx context.Context, peer string, req *protocol.Request, staged func()) (*protocol.Response, error)
	Identity() []byte               // as [NewIdentity] made it
	Rules() *permissions.Rules      // the policy in force
	Peers() []*protocol.Peer        // the known peers
	SetPeer(p *protocol.Peer) error // add or change one; durable when it returns, as are the next two
	RenamePeer(name, newName string) error
	RemovePeer(name string) error
	OnPeersChanged(changed func())      // changed is called after each change of Peers
	Saw(peer string, networks []string) // where a peer was seen, for Peers to tell; not at once durable
}

// Config is what a node is made of. Only Local must be set.
type Config struct {
	Local  Local
	Listen []string     // multiaddrs such as /ip4/0.0.0.0/tcp/7411; none: the node asks, and is not asked
	Log    *slog.Logger // nil: silent
	Limits Limits

	DialTimeout time.Duration // for reaching a peer; 0: 10 s
	Grace       time.Duration // for requests in flight when the node closes; 0: 10 s
}

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	local       Local
	log         *slog.Logger
	notices     *notices
	limits      Limits
	cursors     cursors
	dialTimeout time.Duration
	grace       time.Duration

	id        peer.ID
	host      host.Host
	strangers *strangers
	known     atomic.Pointer[book] // read without a lock: the gater asks for every connection
	bookMu    sync.Mutex           // held while known is replaced
	addMu     sync.Mutex           // held while a peer is added

	serving context.Context // ends when streams are to stop reading
	stop    context.CancelFunc
	working context.Context // ends when what is in flight is given up
	giveUp  context.CancelFunc
	dialing context.Context // ends when nothing more is to be dialled
	hangUp  context.CancelFunc

	turns *turns

	mu      sync.Mutex
	closing bool
	running sync.WaitGroup // streams, dials and closings
	askers  map[peer.ID]*asker
	remotes map[peer.ID]*remote
	closed  func() error
}

// New starts a node. It fails if it cannot listen on each of the addresses.
func New(cfg Config) (*Node, error) {
	if cfg.Local == nil {
		return nil, errors.New("node: no Stronghold given")
	}
	key, id, err := parseIdentity(cfg.Local.Identity())
	if err != nil {
		return nil, err
	}
	listen, err := parseListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	n := &Node{
		local:       cfg.Local,
		log:         cfg.Log,
		limits:      cfg.Limits.withDefaults(),
		cursors:     newCursors(),
		dialTimeout: cfg.DialTimeout,
		grace:       cfg.Grace,
		id:          id,
		turns:       newTurns(),
		askers:      map[peer.ID]*asker{},
		remotes:     map[peer.ID]*remote{},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.notices = newNotices(n.log)
	if n.dialTimeout == 0 {
		n.dialTimeout = 10 * time.Second
	}
	if n.grace == 0 {
		n.grace = protocol.DefaultGrace
	}
	n.closed = sync.OnceValue(n.close)
	n.serving, n.stop = context.WithCancel(context.Background())
	n.working, n.giveUp = context.WithCancel(context.Background())
	n.dialing, n.hangUp = context.WithCancel(context.Background())
	n.known.Store(newBook(nil, n.log))

	resources, err := n.limits.manager()
	if err != nil {
		return nil, fmt.Errorf("node: limits: %w", err)
	}
	n.strangers = newStrangers(resources, n.limits)
	quietLibp2p()
	n.host, err = libp2p.New(
		libp2p.Identity(key),
		libp2p.NoListenAddrs, // below, one by one: libp2p is content if one of them works
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(muxer()),
		libp2p.ResourceManager(n.strangers),
		libp2p.WithFxOption(fx.Supply([]upgrader.Option{upgrader.WithAcceptTimeout(n.limits.HandshakeTime)})),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}), // the default cuts off all but 192 peers
		libp2p.ConnectionGater(gater{n}),
		libp2p.WithDialTimeout(n.dialTimeout),
		libp2p.UserAgent(userAgent),
		libp2p.DisableRelay(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
	)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: n.connected})
	cfg.Local.OnPeersChanged(n.peersChanged)
	n.peersChanged()
	n.host.SetStreamHandler(protocol.ID, n.serve)
	for _, addr := range listen {
		if err := n.host.Network().Listen(addr); err != nil {
			n.Close()
			return nil, fmt.Errorf("node: listen on %s: %w", addr, err)
		}
	}
	return n, nil
}

// parseListen reads the addresses to listen on.
func parseListen(texts []string) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil || !overTCP(addr) {
			return nil, fmt.Errorf("node: %q is not an address to listen on, such as /ip4/0.0.0.0/tcp/7411", text)
		}
		out = append(out, addr)
	}
	return out, nil
}

// ID is the node's peer id.
func (n *Node) ID() string { return n.id.String() }

// Addrs are the multiaddrs at which peers reach the node, each ending in /p2p/ID.
func (n *Node) Addrs() []string {
	var out []string
	for _, addr := range n.host.Addrs() {
		out = append(out, addr.String()+"/p2p/"+n.ID())
	}
	return out
}

// Close stops the node: it accepts nothing more, answers what is in flight for
// as long as Config.Grace allows, and hangs up. It returns when all of that has
// ended, and may be called more than once.
func (n *Node) Close() error { return n.closed() }

func (n *Node) close() error {
	n.mu.Lock()
	n.closing = true // from here on start says no
	remotes := n.remotes
	n.remotes = nil
	n.mu.Unlock()

	if l, ok := n.host.Network().(interface{ ListenClose(...ma.Multiaddr) }); ok {
		l.ListenClose(n.host.Network().ListenAddresses()...)
	}
	n.stop()
	n.hangUp()
	for _, r := range remotes {
		r.close()
	}
	impatient := time.AfterFunc(n.grace, n.giveUp)
	n.running.Wait() // each stream ends by itself after Grace
	impatient.Stop()
	n.giveUp()
	n.notices.close()
	return n.host.Close()
}

// begin counts one more thing that Close waits for, until running.Done. It says
// no once the node closes.
func (n *Node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.running.Add(1)
	return true
}

// start runs f in a goroutine that Close waits for, unless the node closes.
func (n *Node) start(f func()) bool {
	if !n.begin() {
		return false
	}
	go func() {
		defer n.running.Done()
		f()
	}()
	return true
}

// quietLibp2p silences libp2p's own log, which is one for the whole process
// and tells mostly what strangers did. Its variable GOLOG_LOG_LEVEL, if set,
// brings it back.
var quietLibp2p = sync.OnceFunc(func() {
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
})

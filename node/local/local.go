// Package local is a Stronghold without a network: a home folder, the zone that
// holds its secrets, and the file that they rest in. A Go program that keeps keys,
// such as a wallet, embeds it:
//
//	import _ "github.com/stronghold-go/stronghold/sandbox/engine/zone"
//
//	err := local.Init(ctx, local.Config{Home: home}, local.InitOptions{Passphrase: passphrase}) // once
//
//	s, err := local.Open(ctx, local.Config{Home: home})
//	…
//	defer s.Close()
//	c := s.Client()
//	err = c.Unlock(ctx, passphrase)
//	public, err := c.GenerateKey(ctx, location, protocol.Ed25519, false)
//	sig, err := c.Sign(ctx, location, message)
//
// The blank import is not for show: the zone is a process of its own, and that
// process is the same program, started again. The import's init turns it into the
// zone before main runs; without it [Init] and [Open] fail with sandbox.ErrNoGate.
//
// What a caller needs to know of it:
//
//   - A home is one folder, and one program has it open at a time ([ErrInUse]).
//   - It is locked until Unlock, and again after Lock. Locked, everything that
//     needs a secret is refused with protocol.ErrLocked. If the zone dies it is
//     locked too, and a new zone takes its place by itself.
//   - Secrets that go in are sealed to the zone by the client, before
//     [Stronghold.Handle] sees them; a secret that comes out, such as the words
//     of a new mnemonic, is sealed to the client. Nothing in between holds one.
//   - A change is answered when it is on the disk. Changes that come together
//     share one fsync, so ask for many at once (protocol.Client.Go).
//   - Refusals are a [*protocol.Error], to be compared with errors.Is and the
//     protocol's sentinels: ErrNotFound, ErrExists, ErrWrongKind and others.
//   - Whoever can call [Stronghold.Handle] may do everything: the policy of a home
//     is about peers, which package node lets in.
//
// What can be asked is one table, protocol.Operations. protocol.Client has methods
// for the usual, and Do for all of it.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// Errors of [Open] and [Init].
var (
	ErrNoHome     = errors.New("local: there is no home here")
	ErrHomeExists = errors.New("local: a home exists here already")
	ErrInUse      = errors.New("local: another node runs on this home")
)

// Config says where the home is. Home must be set.
type Config struct {
	Home    string
	Log     *slog.Logger // nil: nothing is logged
	Workers int          // requests the zone works on at once; 0: as many as there are processors

	zone string // its name; empty: zoneName. For tests, with a zone that breaks
}

// Stronghold is an open home. It is a protocol.Handler at the local door, for
// everything but peers; its methods are safe for concurrent use.
type Stronghold struct {
	home     string
	log      *slog.Logger
	workers  int
	zoneName string
	identity []byte
	settings Settings
	state    *state
	disk     disk // of the snapshot file

	rules  atomic.Pointer[permissions.Rules]
	policy policy
	peers  peers
	usages *usages

	unlocking sync.Mutex    // one at a time
	hashing   chan struct{} // holds one while a password is being hashed for a request

	mu        sync.RWMutex // of what follows
	zone      *handle
	journal   *journal // nil while locked
	recovered bool
	ended     string // why the zone before this one ended, if nobody wanted it
	deaths    int    // of zones that ended soon after their start, in a row
	closed    bool
	stop      chan struct{} // closed with it
	running   sync.WaitGroup
}

// Open opens a home: it takes its lock and starts its zone, which is locked
// until it is given the passphrase. Errors are [ErrNoHome], [ErrInUse], a
// [*HomeError], and what the zone could not be started for.
func Open(ctx context.Context, cfg Config) (_ *Stronghold, err error) {
	s := &Stronghold{home: cfg.Home, log: cfg.Log, workers: cfg.Workers, zoneName: cfg.zone, disk: systemDisk{},
		hashing: make(chan struct{}, 1), stop: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.readHome(); err != nil {
		return nil, err
	}
	if s.state, err = openState(s.path(stateFile)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.state.Close()
		}
	}()
	removeUnfinished(s.disk, s.path(vaultFile))
	removeUnfinished(systemDisk{}, s.path(policyFile))
	if err := s.loadPeers(); err != nil {
		return nil, err
	}
	s.loadPolicy()
	zone, err := s.startZone(ctx)
	if err != nil {
		return nil, fmt.Errorf("local: start the zone: %w", err)
	}
	s.setZone(zone)
	return s, nil
}

// Close locks the home, ends the zone and gives up the home's lock. Changes
// under way are finished first.
func (s *Stronghold) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	err := s.lockUp()
	s.mu.Unlock()
	s.running.Wait()
	return errors.Join(err, s.state.setUsage(s.usages.changed()), s.state.Close())
}

// Client asks this Stronghold.
func (s *Stronghold) Client() protocol.Client { return protocol.Client{H: s} }

// Home is the folder.
func (s *Stronghold) Home() string { return s.home }

// Identity is identity.key: the node's private key, as libp2p encodes it.
func (s *Stronghold) Identity() []byte { return s.identity }

// Handle answers req.
func (s *Stronghold) Handle(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	return s.HandleFor(ctx, "", req, nil)
}

// HandleFor is Handle for a peer, by his id, who is held to [PeerLimits]; and for one who
// shares the zone out: staged is called when all that a change still waits for is the
// disk, if it comes to that. It is not to wait. That the peer may ask is the caller's to know.
func (s *Stronghold) HandleFor(ctx context.Context, peer string, req *protocol.Request, staged func()) (*protocol.Response, error) {
	if refusal := protocol.Check(req, protocol.DoorLocal); refusal != nil {
		return refusal, nil
	}
	if req.To != "" {
		return protocol.Invalid("to", "there is no network here"), nil
	}
	switch req.Operation {
	case "node.lock":
		return s.lock(ctx)
	case "node.status":
		return &protocol.Response{Status: protocol.Status_OK, Node: s.status(ctx)}, nil
	case "node.unlock":
		return s.unlock(ctx, req)
	case "peer.list":
		return &protocol.Response{Status: protocol.Status_OK, Peers: s.Peers()}, nil
	case "policy.apply":
		return s.applyPolicy(req.Text), nil
	case "policy.can":
		return s.can(req), nil
	case "policy.test":
		return s.testPolicy(req.Text), nil
	case "client.list", "vault.stat":
		return s.ask(ctx, req)
	case "client.load":
		return s.loadClient(ctx, req)
	case "client.unload":
		return s.unloadClient(req)
	case "snapshot.save":
		return s.save(nil)
	case "vault.collect":
		return s.collect(ctx)
	case "policy.show":
		return &protocol.Response{Status: protocol.Status_OK, Text: s.showPolicy()}, nil
	}
	op, _ := protocol.Lookup(req.Operation)
	switch {
	case op.Hashes && req.Secret != nil:
		return s.hashed(ctx, req, op)
	case op.Changes:
		return s.change(ctx, peer, req, staged)
	case op.Hashes, op.Name == "slot.list": // another part of a file
		return s.ask(ctx, req)
	case op.Door == protocol.DoorLocal: // of a network
		return protocol.Refuse(protocol.Status_UNSUPPORTED, "there is no network here"), nil
	}
	return s.ask(ctx, req)
}

// ask has the zone answer a request that changes nothing.
func (s *Stronghold) ask(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	s.mu.RLock()
	zone := s.zone
	s.mu.RUnlock()
	resp, err := call(ctx, zone, req)
	if errors.Is(err, sandbox.ErrEnded) {
		return protocol.Refuse(protocol.Status_LOCKED, "the zone has ended"), nil
	}
	return resp, err
}

// change has the zone stage a change, writes it to the disk and answers. It goes
// on when the asker leaves, since what is staged must be committed or aborted.
func (s *Stronghold) change(ctx context.Context, peer string, req *protocol.Request, staged func()) (*protocol.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	j := s.journal
	if j == nil || s.closed {
		s.mu.RUnlock()
		return protocol.Refuse(protocol.Status_LOCKED, ""), nil
	}
	s.running.Add(1)
	s.mu.RUnlock()
	op, ok := protocol.Lookup(req.Operation)
	long := protocol.Cost(req) >= protocol.HeavyCost
	ch := &change{long: long, joins: ok && op.Joins(), staged: staged}
	if peer != "" {
		var refusal *protocol.Response
		if ch.spent, refusal = s.usages.begin(peer, req); refusal != nil {
			s.running.Done()
			return refusal, nil
		}
	}
	var err error
	if ch.req, err = protocol.Marshal(req); err != nil {
		ch.spent.end(false, nil)
		s.running.Done()
		return nil, err
	}
	return j.change(ctx, ch, s.running.Done), nil
}

// statusTimeout is how long a status waits for a zone that may be stuck.
const statusTimeout = 2 * time.Second

func (s *Stronghold) status(ctx context.Context) *protocol.NodeStatus {
	st := &protocol.NodeStatus{Version: Version()}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	key, err := s.ask(ctx, &protocol.Request{Id: protocol.NewID(), Operation: "zone.key"})
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Locked, st.Recovered = s.journal == nil, s.recovered
	if s.journal != nil {
		st.SavedMs = uint64(max(0, s.journal.saved.Load()))
	}
	st.Zone = new(protocol.Zone)
	if s.zone != nil {
		st.Zone = postureOf(s.zone.Zone)
	}
	st.Zone.Ended = s.ended
	if err == nil {
		st.Zone.PublicKey = key.PublicKey
	}
	st.PolicyError = s.policyError()
	return st
}

package local

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

// policy is policy.toml: its text, and why it is not in force, if it is not.
type policy struct {
	mu   sync.Mutex
	text string
	err  string
}

// Rules returns the policy in force. It changes at once when one is applied.
func (s *Stronghold) Rules() *permissions.Rules { return s.rules.Load() }

func (s *Stronghold) policyText() string {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	return s.policy.text
}

func (s *Stronghold) policyError() string {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	return s.policy.err
}

// loadPolicy puts policy.toml in force as it was applied: names mean what they
// meant then. A file that was edited since is applied now. One that cannot be
// applied allows nobody anything: the node starts, and says so in its status.
func (s *Stronghold) loadPolicy() {
	s.rules.Store(new(permissions.Rules))
	text, err := readPrivate(s.path(policyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.policy.err = err.Error()
		return
	}
	s.policy.text = string(text)
	hash := sha256.Sum256(text)
	names, applied := s.state.names(hash)
	if !applied {
		names = s.peerIDs()
	}
	rules, err := resolve(text, names)
	if err == nil && !applied {
		err = s.state.setNames(hash, names)
	}
	if err != nil {
		s.log.Error("policy not in force; peers may do nothing", "error", err)
		s.policy.err = err.Error()
		return
	}
	s.rules.Store(rules)
}

// resolve turns a policy's text into rules, which must pass the tests in it.
func resolve(text []byte, names map[string]string) (*permissions.Rules, error) {
	p, err := permissions.Parse(text)
	if err != nil {
		return nil, err
	}
	return p.Resolve(names)
}

// applyPolicy replaces the policy: first on the disk, then in force. A policy
// that cannot be applied changes nothing.
func (s *Stronghold) applyPolicy(text string) *protocol.Response {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	names := s.peerIDs()
	rules, err := resolve([]byte(text), names)
	if err != nil {
		return protocol.Invalid("text", err.Error())
	}
	// Names first: should it end in between, the old text is applied again with what its names mean now.
	err = s.state.setNames(sha256.Sum256([]byte(text)), names)
	if err == nil {
		err = writeFile(s.path(policyFile), []byte(text))
	}
	if err != nil {
		s.log.Error("policy not written", "error", err)
		return refuseDisk(err)
	}
	s.policy.text, s.policy.err = text, ""
	s.rules.Store(rules)
	return &protocol.Response{Status: protocol.Status_OK}
}

// can answers whether a peer may do something, from the policy in force.
func (s *Stronghold) can(req *protocol.Request) *protocol.Response {
	op, ok := protocol.Lookup(req.Query)
	if !ok {
		return protocol.Invalid("query", "no such operation")
	}
	id, known := s.peerIDs()[req.Peer]
	if !known {
		id = req.Peer // an id says itself; a name that nobody has is nobody's
	}
	accesses := op.Accesses(&protocol.Request{Operation: op.Name, Location: req.Location, Target: req.Location})
	if op.Door != protocol.DoorPeer {
		return &protocol.Response{Status: protocol.Status_OK, Decision: &protocol.Decision{Reason: "no policy can grant this to a peer"}}
	}
	d := s.Rules().Check(id, op, accesses)
	return &protocol.Response{Status: protocol.Status_OK, Decision: &protocol.Decision{Allowed: d.Allowed, Reason: d.Reason}}
}

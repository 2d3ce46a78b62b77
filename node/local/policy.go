package local

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

// policy is policy.toml: its text, what it says, and why it is not in force, if
// it is not.
type policy struct {
	mu     sync.Mutex
	text   string
	parsed *permissions.Policy // nil when not in force
	names  map[string]string   // what the names in it meant when it was applied
	err    string
}

// Rules returns the policy in force. It changes at once when one is applied.
func (s *Stronghold) Rules() *permissions.Rules { return s.rules.Load() }

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
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		names, applied := s.state.names(sha256.Sum256(text))
		s.policy.text, s.policy.names = string(text), names
		if applied {
			err = s.enforce(text, names)
		} else {
			var notes []string
			notes, err = s.apply(text)
			for _, note := range notes {
				s.log.Warn("policy applied that was edited", "note", note)
			}
		}
	}
	if err != nil {
		s.log.Error("policy not in force; peers may do nothing", "error", err)
		s.policy.err = err.Error()
	}
}

// enforce puts a policy in force whose names mean this.
func (s *Stronghold) enforce(text []byte, names map[string]string) error {
	parsed, err := permissions.Parse(text)
	if err != nil {
		return err
	}
	rules, err := parsed.Resolve(names, s.peerIDs()...)
	if err != nil {
		return err
	}
	s.policy.parsed, s.policy.names = parsed, names
	s.rules.Store(rules)
	return nil
}

// apply puts a policy in force whose names mean what they mean now, if its own
// tests hold, and remembers that. Notes are where a name means another than before.
func (s *Stronghold) apply(text []byte) (notes []string, err error) {
	rules, err := s.try(text)
	if err != nil {
		return nil, err
	}
	if err := s.state.setNames(sha256.Sum256(text), rules.Names()); err != nil {
		return nil, fmt.Errorf("local: what the policy's names mean was not written: %w", err)
	}
	notes = s.otherThanBefore(rules.Names())
	return notes, s.enforce(text, rules.Names())
}

// try resolves a policy with the names of today and runs its tests.
func (s *Stronghold) try(text []byte) (*permissions.Rules, error) {
	parsed, err := permissions.Parse(text)
	if err != nil {
		return nil, err
	}
	rules, err := parsed.Resolve(s.peerNames())
	if err != nil {
		return nil, err
	}
	if failures := rules.Test(); len(failures) > 0 {
		return nil, &testsError{failures}
	}
	return rules, nil
}

// testsError is the error for a policy that does not do what its tests expect.
type testsError struct{ failures []permissions.Failure }

func (e *testsError) Error() string {
	lines := make([]string, len(e.failures))
	for i, f := range e.failures {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// applyPolicy replaces the policy. One that cannot be applied changes nothing.
func (s *Stronghold) applyPolicy(text string) *protocol.Response {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	if _, err := s.try([]byte(text)); err != nil {
		return protocol.Invalid("text", err.Error())
	}
	// The file first: should it end in between, the next start applies it.
	if err := writeFile(s.path(policyFile), []byte(text)); err != nil {
		s.log.Error("policy not written", "error", err)
		return refuseDisk(err)
	}
	s.policy.text = text
	notes, err := s.apply([]byte(text))
	if err != nil {
		s.log.Error("policy written and not in force", "error", err)
		return protocol.Refuse(protocol.Status_INTERNAL, "the policy is written, and will be in force after the next start")
	}
	s.policy.err = ""
	if s.policy.parsed.AllowsNothing() {
		notes = append(notes, "it allows nobody anything")
	}
	return &protocol.Response{Status: protocol.Status_OK, Text: strings.Join(notes, "\n")}
}

// testPolicy says what applying a policy would find, and applies nothing.
func (s *Stronghold) testPolicy(text string) *protocol.Response {
	if text == "" {
		text = s.showPolicy()
	}
	_, err := s.try([]byte(text))
	if failed := new(testsError); errors.As(err, &failed) {
		return &protocol.Response{Status: protocol.Status_OK, Text: failed.Error()}
	}
	if err != nil {
		return protocol.Invalid("text", err.Error())
	}
	return &protocol.Response{Status: protocol.Status_OK}
}

// peersChanged lets "*" in the policy mean the peers that are known now.
func (s *Stronghold) peersChanged() {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	if s.policy.parsed == nil {
		return
	}
	rules, err := s.policy.parsed.Resolve(s.policy.names, s.peerIDs()...)
	if err != nil { // a peer took the name of a group; the rules of before stay
		s.log.Error("policy not resolved anew", "error", err)
		return
	}
	s.rules.Store(rules)
}

// can answers whether a peer may do something, from the policy in force.
func (s *Stronghold) can(req *protocol.Request) *protocol.Response {
	op, ok := protocol.Lookup(req.Query)
	if !ok {
		return protocol.Invalid("query", "no such operation")
	}
	id, known := s.peerNames()[req.Peer]
	if !known {
		id = req.Peer // an id says itself; a name that nobody has is nobody's
	}
	d := s.Rules().Can(id, op, req.Location)
	return &protocol.Response{Status: protocol.Status_OK, Decision: &protocol.Decision{Allowed: d.Allowed, Reason: d.Reason}}
}

package permissions

import (
	"fmt"
	"strings"

	"github.com/stronghold-go/stronghold/protocol"
)

// test is one [[test]]: what the author of a policy expects of it.
type test struct {
	block
	peer  string
	op    *protocol.Operation
	on    string
	loc   *protocol.Location
	allow bool
}

type resolvedTest struct {
	*test
	id string // of the peer
}

// Failure is a test of a policy that found something else than it expects.
type Failure struct {
	Line     int    // where the test stands, 0 if it is not known
	Test     string // "test 3"
	Question string // "laptop ed25519.sign wallet/keys/main"
	Expect   bool   // allowed?
	Got      Decision
}

func (f Failure) String() string {
	words := map[bool]string{true: "allow", false: "deny"}
	return fmt.Sprintf("%s: %s: expected %s, got %s (%s)", f.Test, f.Question, words[f.Expect], words[f.Got.Allowed], f.Got.Reason)
}

func (p *Policy) parseTest(b *block) (*test, error) {
	if err := b.only("peer", "op", "on", "expect"); err != nil {
		return nil, err
	}
	t := &test{block: b.label()}
	var err error
	if t.peer, err = b.text("peer"); err != nil {
		return nil, err
	}
	if err := b.peerName(t.peer); err != nil {
		return nil, err
	}
	if _, ok := p.groups[t.peer]; ok {
		return nil, b.errorf("%s is a group; a test is about a peer", show(t.peer))
	}
	name, err := b.text("op")
	if err != nil {
		return nil, err
	}
	if t.op, err = b.operation(name); err != nil {
		return nil, err
	}
	if t.on, err = b.text("on"); err != nil {
		return nil, err
	}
	if strings.Contains(t.on, "*") {
		return nil, b.errorf("on %s: a test is about one location; %%2A stands for the character", show(t.on))
	}
	if t.loc, err = protocol.ParseLocation(t.on); err != nil {
		return nil, b.errorf("on %s: %v", show(t.on), err)
	}
	// A test of what can never be asked would hold without saying anything.
	for _, a := range t.op.Accesses(&protocol.Request{Location: t.loc, Target: t.loc}) {
		if want := depthOf(a.Class); !a.Prefix && t.loc.Depth() != want || t.loc.Depth() > want {
			return nil, b.errorf("on %s: %s", show(t.on), shapes(want == recordDepth, want == storeDepth))
		}
	}
	expect, err := b.text("expect")
	if err != nil {
		return nil, err
	}
	if expect != "allow" && expect != "deny" {
		return nil, b.errorf("expect is allow or deny")
	}
	t.allow = expect == "allow"
	return t, nil
}

// Test runs the policy's own tests. Apply no policy with a failure; one that
// is in force already stays in force: its tests are about the day it was
// applied.
func (r *Rules) Test() []Failure {
	var out []Failure
	for _, t := range r.tests {
		if d := r.Can(t.id, t.op, t.loc); d.Allowed != t.allow {
			out = append(out, Failure{
				Line: t.line, Test: t.name, Expect: t.allow, Got: d,
				Question: fmt.Sprintf("%s %s %s", show(t.peer), t.op.Name, show(t.on)),
			})
		}
	}
	return out
}

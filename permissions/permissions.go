// Package permissions says who may do what with what.
//
// A policy is a text (policy.toml): rules that allow, rules that deny, and
// tests of both. [Parse] reads it and refuses whatever it does not understand;
// [Policy.Resolve] turns the names in it into peer ids and gives [Rules], which
// answer for one request: [Rules.Check].
//
// The model: a request is an operation and its accesses, one for each location
// in it ([protocol.Operation.Accesses]). An access is allowed if a rule that
// allows names the peer, the operation or the access's class, and the location,
// and no rule that denies does. Every access must be allowed. The order of the
// rules means nothing, deny wins, and what no rule matches is denied.
//
// What follows from that, and is easily missed:
//
//   - A pattern matches whole locations. "wallet/keys/*" matches the records of
//     that vault, its versions and its head; "wallet/keys" can never match a
//     record and is refused, not taken for a folder.
//   - "wallet/keys/@*" matches versions and head alone. "@head" and "@7" may be
//     the same record, and nobody knows here: a rule that denies one version
//     denies the head too, and one that denies the head denies every version.
//   - A location that names something by its id instead of its path is denied:
//     a policy speaks of paths.
//   - "*" is every known peer where a rule allows, and everybody where it denies.
//   - [names] in a policy says whom a name means, whoever has it by then.
//
// The package is pure: it has no clock, reads no file, and keeps nothing but
// what it was given. Reasons are for the operator, never for the peer.
package permissions

import (
	"fmt"
	"strings"
)

// Limits of a policy. The last one bounds memory: a rule is indexed once for
// each of its peers, operations and patterns together.
const (
	MaxText    = 1 << 20 // bytes of the text
	MaxRules   = 10_000  // [[allow]] and [[deny]]
	MaxGroups  = 1_000
	MaxTests   = 10_000
	MaxPattern = 4 << 10 // bytes of one pattern
	MaxEntries = 1 << 16 // peers × operations × patterns, over all rules
)

// Policy is a text that was understood. It is immutable.
type Policy struct {
	text    string
	namesAt [2]int // the lines of [names], as scan has them
	groups  map[string]*group
	names   map[string]string // what [names] says
	rules   []*rule
	tests   []*test
}

// group is a list of peers under a name.
type group struct {
	block
	members []string
}

// rule is one [[allow]] or [[deny]].
type rule struct {
	block
	deny  bool
	order int // among all rules: the least that matches is the reason
	peers []string
	ops   []grant
	on    []pattern
}

// grant is one entry of a rule's ops, and where it can be used.
type grant struct {
	name           string // of an operation or a class
	records, store bool
}

// Error says why a policy is refused.
type Error struct {
	Line   int    // in the text, from 1; 0 if it is not known
	Rule   string // "allow 2", "test 1", "group phones"; empty if it is in none
	Reason string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("policy: ")
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Rule != "" {
		fmt.Fprintf(&b, "%s: ", e.Rule)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Decision is the answer to a question, and why. The reason names a rule
// ("allow 2", "deny 1 on wallet/**") or says that there is none; it is for the
// operator's eyes.
type Decision struct {
	Allowed bool
	Reason  string
}

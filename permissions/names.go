package permissions

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// [names] says whom names in a policy mean, whoever has them when it is
// resolved:
//
//	[names]
//	laptop = "12D3KooW…"
//
// A policy that is told to a person ([Policy.WithNames]) has one, so that what
// is told means the same when it is applied, at any time.

// parseNames reads [names].
func (p *Policy) parseNames(top *block, line int) error {
	value, ok := top.table["names"]
	if !ok {
		return nil
	}
	b := &block{name: "names", line: line}
	if b.table, ok = value.(map[string]any); !ok || line == 0 { // else WithNames would not find it
		return b.errorf("names is a table under a line [names] of its own")
	}
	for _, name := range slices.Sorted(maps.Keys(b.table)) {
		if err := b.peerName(name); err != nil {
			return err
		}
		id, err := b.text(name)
		switch {
		case err != nil:
			return err
		case !looksLikeID(id):
			return b.errorf("%s is not a peer id: %s", show(name), show(id))
		case looksLikeID(name):
			return b.errorf("%s is an id already", show(name))
		case p.groups[name] != nil:
			return b.errorf("%s is a group", show(name))
		}
		p.names[name] = id
	}
	return nil
}

// A Name is a line of [names].
type Name struct {
	Name, ID string
	Note     string // a comment, if not empty
}

// WithNames is the text of the policy with these lines for its [names], or with
// none. All else of it stays as it is.
func (p *Policy) WithNames(names []Name) string {
	text := p.text
	if first, end := p.namesAt[0], p.namesAt[1]; first > 0 {
		lines := strings.SplitAfter(text, "\n")
		text = strings.Join(lines[:first-1], "") + strings.Join(lines[end-1:], "")
	}
	if len(names) == 0 {
		return text
	}
	var b strings.Builder
	b.WriteString(strings.TrimRight(text, "\r\n"))
	b.WriteString("\n\n[names] # whom the names above mean. A name without a line here means who has it when this is applied\n")
	for _, n := range names {
		fmt.Fprintf(&b, "%s = %q", quoteKey(n.Name), n.ID)
		if n.Note != "" {
			b.WriteString(" # " + printable(n.Note))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// quoteKey is a name as a key of TOML.
func quoteKey(name string) string {
	const bare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	if strings.Trim(name, bare) == "" {
		return name
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range name {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// AllowsNothing says that the policy has no rule that allows.
func (p *Policy) AllowsNothing() bool {
	return !slices.ContainsFunc(p.rules, func(r *rule) bool { return !r.deny })
}

// HasGroup says whether a group of the policy has this name.
func (r *Rules) HasGroup(name string) bool { return r.policy != nil && r.policy.groups[name] != nil }

// Mentions tells where the policy speaks of the peer with this id, by a name, by
// the id, or by a group that he is in: "allow 2, line 7: laptop". "*" is nobody's
// name.
func (r *Rules) Mentions(id string) []string {
	p := r.policy
	if p == nil {
		return nil
	}
	is := func(name string) bool { return name == id || r.names[name] == id }
	var out []string
	found := func(b *block, by string) {
		where := b.name
		if b.line > 0 {
			where += ", line " + strconv.Itoa(b.line)
		}
		out = append(out, where+": "+show(by))
	}
	for _, name := range slices.Sorted(maps.Keys(p.groups)) {
		g := p.groups[name]
		if i := slices.IndexFunc(g.members, is); i >= 0 {
			found(&g.block, g.members[i])
		}
	}
	for _, r := range p.rules {
		i := slices.IndexFunc(r.peers, func(name string) bool {
			g := p.groups[name]
			return g == nil && is(name) || g != nil && slices.ContainsFunc(g.members, is)
		})
		if i >= 0 {
			found(&r.block, r.peers[i])
		}
	}
	for _, t := range p.tests {
		if is(t.peer) {
			found(&t.block, t.peer)
		}
	}
	return out
}

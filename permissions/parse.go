package permissions

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/stronghold-go/stronghold/protocol"
)

// everyone stands for all peers in a list of peers.
const everyone = "*"

// conditions are what the format has names for and this version does not obey.
// A rule with one must not become a rule without it.
var conditions = []string{"until", "hours", "rate", "uses", "max_size", "paths", "approve"}

// Parse reads a policy. What it does not understand, it refuses: every error
// is an *[Error]. An empty text is a policy that allows nothing.
func Parse(text []byte) (*Policy, error) {
	if len(text) > MaxText {
		return nil, &Error{Reason: fmt.Sprintf("longer than %d bytes", MaxText)}
	}
	if !utf8.Valid(text) {
		return nil, &Error{Reason: "not UTF-8"}
	}
	found, err := scan(string(text))
	if err != nil {
		return nil, err
	}
	// Into a map, not into structs: those would take Peers for peers.
	var document map[string]any
	if _, err := toml.Decode(string(text), &document); err != nil {
		if pe := (toml.ParseError{}); errors.As(err, &pe) {
			return nil, &Error{Line: pe.Position.Line, Reason: printable(pe.Message)}
		}
		return nil, &Error{Reason: printable(err.Error())}
	}

	p := &Policy{text: string(text), namesAt: found.names, groups: make(map[string]*group), names: make(map[string]string)}
	top := &block{table: document}
	if err := top.only("groups", "names", "allow", "deny", "test"); err != nil {
		return nil, err
	}
	if err := p.parseGroups(top); err != nil {
		return nil, err
	}
	if err := p.parseNames(top, found.names[0]); err != nil {
		return nil, err
	}
	for _, kind := range []string{"allow", "deny"} {
		blocks, err := top.blocks(kind, found.lists[kind])
		if err != nil {
			return nil, err
		}
		if len(p.rules)+len(blocks) > MaxRules {
			return nil, &Error{Reason: fmt.Sprintf("more than %d rules", MaxRules)}
		}
		for _, b := range blocks {
			r, err := parseRule(b)
			if err != nil {
				return nil, err
			}
			r.deny, r.order = kind == "deny", len(p.rules)
			p.rules = append(p.rules, r)
		}
	}
	entries := 0
	for _, r := range p.rules {
		entries += len(r.peers) * len(r.ops) * len(r.on) // each is below MaxText
		if entries > MaxEntries {
			return nil, r.errorf("with this rule, the policy has more than %d combinations of peer, operation and pattern", MaxEntries)
		}
	}
	blocks, err := top.blocks("test", found.lists["test"])
	if err != nil {
		return nil, err
	}
	if len(blocks) > MaxTests {
		return nil, &Error{Reason: fmt.Sprintf("more than %d tests", MaxTests)}
	}
	for _, b := range blocks {
		t, err := p.parseTest(b)
		if err != nil {
			return nil, err
		}
		p.tests = append(p.tests, t)
	}
	return p, nil
}

func (p *Policy) parseGroups(top *block) error {
	value, ok := top.table["groups"]
	if !ok {
		return nil
	}
	table, ok := value.(map[string]any)
	if !ok {
		return top.errorf("groups must be a table")
	}
	if len(table) > MaxGroups {
		return top.errorf("more than %d groups", MaxGroups)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		b := block{name: "group " + show(name), table: table}
		switch {
		case name == "" || strings.Contains(name, "*"):
			return b.errorf("a name is not empty and has no *")
		case mayBeID(name):
			return b.errorf("the name looks like a peer id")
		}
		members, err := b.texts(name)
		if err != nil {
			return err
		}
		for _, m := range members {
			if err := b.peerName(m); err != nil {
				return err
			}
			if _, ok := table[m]; ok {
				return b.errorf("%s is a group; a group holds peers only", show(m))
			}
		}
		p.groups[name] = &group{b.label(), members}
	}
	return nil
}

func parseRule(b *block) (*rule, error) {
	for _, c := range conditions {
		if _, ok := b.table[c]; ok {
			return nil, b.errorf("%s is not supported by this version", c)
		}
	}
	if err := b.only("peers", "ops", "on"); err != nil {
		return nil, err
	}
	r := &rule{block: b.label()}
	var err error
	if r.peers, err = b.texts("peers"); err != nil {
		return nil, err
	}
	for _, name := range r.peers {
		if name == everyone {
			continue
		}
		if err := b.peerName(name); err != nil {
			return nil, err
		}
	}
	ops, err := b.texts("ops")
	if err != nil {
		return nil, err
	}
	records, store := false, false
	for _, name := range ops {
		g, err := b.grant(name)
		if err != nil {
			return nil, err
		}
		r.ops = append(r.ops, g)
		records, store = records || g.records, store || g.store
	}
	on, err := b.texts("on")
	if err != nil {
		return nil, err
	}
	for _, text := range on {
		pat, err := parsePattern(text)
		if err != nil {
			return nil, b.errorf("on %s: %v", show(text), err)
		}
		if !(records && len(pat.expand(recordDepth)) > 0 || store && len(pat.expand(storeDepth)) > 0) {
			return nil, b.errorf("on %s: can never match: %s", show(text), shapes(records, store))
		}
		r.on = append(r.on, pat)
	}
	return r, nil
}

func shapes(records, store bool) string {
	switch {
	case records && store:
		return "a record is client/vault/record, a store key is client/key"
	case store:
		return "a store key is client/key"
	}
	return "a record is client/vault/record"
}

// grant looks up an entry of ops: a class, or an operation that peers may ask.
func (b *block) grant(name string) (grant, error) {
	g := grant{name: name}
	if c := protocol.Class(name); slices.Contains(protocol.Classes, c) {
		g.store = depthOf(c) == storeDepth
		g.records = !g.store
		return g, nil
	}
	op, err := b.operation(name)
	if err != nil {
		return g, err
	}
	if op.Name == "pipeline.run" {
		return g, b.errorf("a pipeline takes the rights of its steps: name their operations instead of %s", op.Name)
	}
	for _, f := range op.In {
		switch {
		case f.Needs == "":
		case depthOf(f.Needs) == storeDepth:
			g.store = true
		default:
			g.records = true
		}
	}
	return g, nil
}

func (b *block) operation(name string) (*protocol.Operation, error) {
	op, ok := protocol.Lookup(name)
	if !ok {
		return nil, b.errorf("unknown operation or class %s", show(name))
	}
	if op.Door != protocol.DoorPeer {
		return nil, b.errorf("%s is not for peers: no policy can grant it", name)
	}
	return op, nil
}

func (b *block) peerName(name string) error {
	switch {
	case name == "":
		return b.errorf("an empty peer name")
	case strings.Contains(name, "*"):
		return b.errorf("peer %s: * stands for all peers, alone and in the peers of a rule", show(name))
	}
	return nil
}

// block is one table of the policy, and how to name it in an error.
type block struct {
	name  string // as Error.Rule
	line  int
	table map[string]any
}

// label is b without its table, to be kept.
func (b *block) label() block { return block{name: b.name, line: b.line} }

func (b *block) errorf(format string, args ...any) error {
	return &Error{Line: b.line, Rule: b.name, Reason: fmt.Sprintf(format, args...)}
}

// only refuses keys other than these. A misspelt key must not be a rule with
// one condition less.
func (b *block) only(keys ...string) error {
	for _, key := range slices.Sorted(maps.Keys(b.table)) {
		if !slices.Contains(keys, key) {
			return b.errorf("unknown key %s", show(key))
		}
	}
	return nil
}

// blocks are the tables of the list key. Lines are where they start, if there
// are as many.
func (b *block) blocks(key string, lines []int) ([]*block, error) {
	value, ok := b.table[key]
	if !ok {
		return nil, nil
	}
	var tables []map[string]any
	switch v := value.(type) {
	case []map[string]any:
		tables = v
	case []any: // allow = [{…}, {…}]
		for _, item := range v {
			table, ok := item.(map[string]any)
			if !ok {
				return nil, b.errorf("%s must be a list of tables: [[%s]]", key, key)
			}
			tables = append(tables, table)
		}
	default:
		return nil, b.errorf("%s must be a list of tables: [[%s]]", key, key)
	}
	out := make([]*block, len(tables))
	for i, table := range tables {
		out[i] = &block{name: key + " " + strconv.Itoa(i+1), table: table}
		if len(lines) == len(tables) {
			out[i].line = lines[i]
		}
	}
	return out, nil
}

func (b *block) text(key string) (string, error) {
	value, ok := b.table[key]
	if !ok {
		return "", b.errorf("%s is missing", show(key))
	}
	s, ok := value.(string)
	if !ok {
		return "", b.errorf("%s must be a text", show(key))
	}
	return s, nil
}

func (b *block) texts(key string) ([]string, error) {
	value, ok := b.table[key]
	if !ok {
		return nil, b.errorf("%s is missing", show(key))
	}
	list, ok := value.([]any)
	if !ok {
		return nil, b.errorf("%s must be a list of texts", show(key))
	}
	if len(list) == 0 {
		return nil, b.errorf("%s is empty", show(key))
	}
	out := make([]string, len(list))
	for i, item := range list {
		if out[i], ok = item.(string); !ok {
			return nil, b.errorf("%s must be a list of texts", show(key))
		}
	}
	return out, nil
}

// show quotes what is not a plain word, and cuts what is long: an error goes to
// a terminal.
func show(s string) string {
	const most = 64
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.QuoteToASCII(s) + cut
		}
	}
	if s == "" {
		return `""`
	}
	return s + cut
}

// printable is a message that may quote the policy, fit for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

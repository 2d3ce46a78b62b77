package permissions

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

func TestPatternMatches(t *testing.T) {
	for _, test := range []struct {
		pattern string
		yes, no []string
	}{
		{"wallet/keys/main",
			[]string{"wallet/keys/main", "wallet/keys/%6Dain"},
			[]string{"wallet/keys/Main", "wallet/keys/mai", "wallet/keys/main2", "wallet/keys/@0", "wallet/keys/@head", "wallet/key/main", "Wallet/keys/main"}},
		{"wallet/keys/*",
			[]string{"wallet/keys/main", "wallet/keys/%2A", "wallet/keys/@0", "wallet/keys/@18446744073709551615", "wallet/keys/@head", "wallet/keys/%2F", "wallet/keys/%00x"},
			[]string{"wallet/key/main", "wallet/keys2/main", "wallet/%2F/main"}},
		{"wallet/*/main", []string{"wallet/a/main", "wallet/%2F/main"}, []string{"wallet/a/b", "a/a/main"}},
		{"*/*/*", []string{"a/b/c", "a/b/@1"}, nil},
		{"**", []string{"a/b/c", "a/b/@1", "a/b/@head"}, nil},
		{"**/**", []string{"a/b/c"}, nil},
		{"wallet/**", []string{"wallet/a/b", "wallet/a/@head"}, []string{"wallets/a/b", "a/wallet/b"}},
		{"**/main", []string{"a/b/main"}, []string{"main/main/a", "main/a/b"}},
		{"**/b/**", []string{"b/x/y", "x/b/y", "x/y/b"}, []string{"x/y/z", "x/y/@1"}},
		{"a/**/c", []string{"a/x/c"}, []string{"a/x/d", "c/x/a"}},
		{"a/b/c/**", []string{"a/b/c"}, []string{"a/b/d"}},
		{"**/a/b/**", []string{"a/b/x", "x/a/b", "a/b/@7"}, []string{"a/x/b", "b/a/x"}},
		{"a/b/k*", []string{"a/b/k", "a/b/key", "a/b/k%2A"}, []string{"a/b/ak", "a/b/@1", "a/b/@head"}},
		{"a/b/*k", []string{"a/b/k", "a/b/ak"}, []string{"a/b/ka"}},
		{"a/b/aba*aba", []string{"a/b/abaaba", "a/b/abaxaba"}, []string{"a/b/aba", "a/b/ababa"}},
		{"a/b/x*y*z", []string{"a/b/xyz", "a/b/x1y2z", "a/b/xyyzz"}, []string{"a/b/xzy", "a/b/xz"}},
		{"a/b/*@*", []string{"a/b/%40", "a/b/x@y"}, []string{"a/b/@1", "a/b/@head"}},
		{"a/b/%2A", []string{"a/b/%2A", "a/b/*"}, []string{"a/b/x"}},
		{"a/b/%2A*", []string{"a/b/%2Ax"}, []string{"a/b/x"}},
		{"a/b/%40*", []string{"a/b/%40", "a/b/%407"}, []string{"a/b/@7", "a/b/@head"}},
		{"a/b/%25", []string{"a/b/%25"}, []string{"a/b/x"}},
		{"a/b/%69d:*", []string{"a/b/%69d:x"}, []string{"a/b/x"}},
		{"a/b/%FF", []string{"a/b/%ff"}, []string{"a/b/%FE"}},
		{"a/b/é", []string{"a/b/é", "a/b/%C3%A9"}, []string{"a/b/e%CC%81"}},
		{"a/b/e%CC%81", []string{"a/b/e\u0301"}, []string{"a/b/é"}},
		{"a/b/@*", []string{"a/b/@0", "a/b/@7", "a/b/@head"}, []string{"a/b/%40", "a/b/%40head", "a/b/%407", "a/b/x"}},
		{"a/b/@7", []string{"a/b/@7"}, []string{"a/b/@8", "a/b/@77", "a/b/@head", "a/b/%407", "a/b/7"}},
		{"a/b/@head", []string{"a/b/@head"}, []string{"a/b/@7", "a/b/%40head", "a/b/head"}},
		{"**/@7", []string{"a/b/@7"}, []string{"a/b/7", "a/@7/x"}},
		{"**/@*/**", []string{"a/b/@7"}, []string{"a/b/c", "a/@7/x"}},
	} {
		r := rules(t, "allow laptop use "+test.pattern)
		for _, text := range test.yes {
			if d := use(t, r, text); !d.Allowed || d.Reason != "allow 1" {
				t.Errorf("%s does not match %s: %+v", test.pattern, text, d)
			}
		}
		for _, text := range test.no {
			if d := use(t, r, text); d.Allowed {
				t.Errorf("%s matches %s", test.pattern, text)
			}
		}
	}
}

func use(t testing.TB, r *Rules, text string) Decision {
	t.Helper()
	return r.Can(laptopID, operation(t, "ed25519.sign"), location(t, text))
}

func TestPatternRefused(t *testing.T) {
	for text, reason := range map[string]string{
		"":                                      "empty segment",
		"/":                                     "empty segment",
		"/a/b/c":                                "empty segment",
		"a/b/c/":                                "empty segment",
		"a//c":                                  "empty segment",
		"./b/c":                                 ". or ..",
		"a/../c":                                ". or ..",
		"a/b/..":                                ". or ..",
		"a/b/%2E%2e":                            ". or ..",
		"a/b/c/d":                               "can never match",
		"*/*/*/*":                               "can never match",
		"**/a/b/c/d":                            "can never match",
		"a/b":                                   "can never match",
		"*":                                     "can never match",
		"a/@7":                                  "can never match",
		"@7/b/c":                                "can never match",
		"a/@head/**":                            "can never match",
		"a/**b/c":                               "** stands alone",
		"a/***":                                 "** stands alone",
		"a/b/id:abc":                            "not by id",
		"id:*/b/c":                              "not by id",
		"a/b/@":                                 "after @",
		"a/b/@07":                               "after @",
		"a/b/@+7":                               "after @",
		"a/b/@-1":                               "after @",
		"a/b/@1*":                               "after @",
		"a/b/@HEAD":                             "after @",
		"a/b/@head2":                            "after @",
		"a/b/@99999999999999999999":             "after @",
		"a/b/%":                                 "hexadecimal",
		"a/b/%2":                                "hexadecimal",
		"a/b/%zz":                               "hexadecimal",
		"a/b/%2*A":                              "hexadecimal",
		"a/b/main ":                             "a space",
		" a/b/main":                             "a space",
		"a/b/ma in":                             "a space",
		"a/b/main\t":                            "a space",
		"a/b/main\u00a0":                        "a space",
		"a/b/ma\u200bin":                        "invisible",
		"a/b/\u202emain":                        "invisible",
		"a/b/e\u0301":                           "NFC",
		"a/b/\u212b":                            "NFC", // the Ångström sign
		"a/b/main%00":                           "can never match",
		"a/b/" + strings.Repeat("x", 129):       "can never match",
		"a/" + strings.Repeat("x", 257) + "/c":  "can never match",
		"a/" + strings.Repeat("x*", 257) + "/c": "can never match",
		"a/b/" + strings.Repeat("%41", MaxPattern/3+1): "longer than",
	} {
		_, err := parseRule(&block{table: map[string]any{"peers": []any{"a"}, "ops": []any{"use"}, "on": []any{text}}})
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: got %v, want %s", text, err, reason)
		}
	}
}

// Each of these took a backtracking matcher more time than the world has. A
// match is linear in the location, however the pattern looks.
func TestPatternHostile(t *testing.T) {
	long := strings.Repeat("a", protocol.MaxSegment)
	record := strings.Repeat("a", protocol.MaxRecordPath)
	for _, pattern := range []string{
		long[:100] + strings.Repeat("*a", 100) + "b/**",
		strings.Repeat("a*", 200) + "b/**",
		strings.Repeat("a*", 200) + "b/" + strings.Repeat("a*", 200) + "b/" + strings.Repeat("a*", 120) + "b",
		strings.Repeat("*a", 200) + "*/" + strings.Repeat("*a", 200) + "*/" + strings.Repeat("*a", 120) + "*b",
		"**/" + strings.Repeat("**/", 1000) + strings.Repeat("*a", 120) + "*b/**",
	} {
		r := rules(t, "allow laptop use "+pattern)
		start := time.Now()
		const n = 1000
		for range n {
			if d := use(t, r, long+"/"+long+"/"+record); d.Allowed {
				t.Fatalf("%s matches", pattern)
			}
		}
		if each := time.Since(start) / n; each > 5*time.Millisecond {
			t.Errorf("%.40s…: %v for one decision", pattern, each)
		}
	}
}

// refMatch is the obvious matcher: it tries everything.
func refMatch(pattern string, l *protocol.Location) bool {
	var match func(parts []string, i int) bool
	match = func(parts []string, i int) bool {
		switch {
		case len(parts) == 0:
			return i == 3
		case parts[0] == "**":
			return match(parts[1:], i) || i < 3 && match(parts, i+1)
		case i == 3:
			return false
		}
		return refSegment(parts[0], l, i) && match(parts[1:], i+1)
	}
	return match(strings.Split(pattern, "/"), 0)
}

func refSegment(part string, l *protocol.Location, i int) bool {
	switch {
	case part == "*":
		return true
	case part == "@*":
		return i == 2 && l.Record == nil
	case strings.HasPrefix(part, "@"):
		return i == 2 && l.Record == nil && l.Text() == (&protocol.Location{Client: l.Client, Vault: l.Vault}).Text()+"/"+part
	case i == 2 && l.Record == nil:
		return false
	}
	return refGlob(part, [][]byte{l.Client, l.Vault, l.Record}[i])
}

func refGlob(part string, b []byte) bool {
	switch {
	case part == "":
		return len(b) == 0
	case part[0] == '*':
		return refGlob(part[1:], b) || len(b) > 0 && refGlob(part, b[1:])
	case len(b) == 0:
		return false
	case part[0] == '%':
		c, err := unescape(part[:3])
		return err == nil && c[0] == b[0] && refGlob(part[3:], b[1:])
	}
	return part[0] == b[0] && refGlob(part[1:], b[1:])
}

// refDeny is refMatch for a rule that denies: versions and the head are one
// record, perhaps.
func refDeny(pattern string, l *protocol.Location) bool {
	if refMatch(pattern, l) {
		return true
	}
	if l.Record != nil {
		return false
	}
	atHead := &protocol.Location{Client: l.Client, Vault: l.Vault, Head: true}
	if !l.Head {
		return refMatch(pattern, atHead)
	}
	for _, part := range strings.Split(pattern, "/") {
		if v, err := parseVersion(strings.TrimPrefix(part, "@")); err == nil && v.kind == version && part[0] == '@' &&
			refMatch(pattern, &protocol.Location{Client: l.Client, Vault: l.Vault, Version: &v.number}) {
			return true
		}
	}
	return false
}

// FuzzPattern compares the index with the obvious matcher, for rules that allow
// and for rules that deny.
func FuzzPattern(f *testing.F) {
	f.Fuzz(func(t *testing.T, written, text string) {
		if strings.Count(written, "*") > 8 || len(text) > 100 {
			return // the reference would take too long
		}
		loc, err := protocol.ParseLocation(text)
		if err != nil || loc.Depth() != recordDepth || loc.ByID() {
			return
		}
		p, err := parsePattern(written)
		if err != nil {
			return
		}
		second := loc.Record != nil && !addressable(loc.Record) // another's second name
		ask := func(rs ...*rule) Decision {
			r, err := (&Policy{rules: rs}).Resolve(map[string]string{"laptop": laptopID})
			if err != nil {
				t.Fatal(err)
			}
			return use(t, r, text)
		}
		newRule := func(deny bool, p pattern) *rule {
			return &rule{deny: deny, peers: []string{everyone}, ops: []grant{{name: "use", records: true}}, on: []pattern{p}}
		}
		if got, want := ask(newRule(false, p)).Allowed, !second && refMatch(written, loc); got != want {
			t.Errorf("allow %q on %q: %v, want %v", written, text, got, want)
		}
		all, _ := parsePattern("**")
		if got, want := ask(newRule(false, all), newRule(true, p)).Allowed, !second && !refDeny(written, loc); got != want {
			t.Errorf("deny %q on %q: allowed %v, want %v", written, text, got, want)
		}
	})
}

// FuzzParse looks for a text that stops the parser, for a resolution that
// fails without a reason, for one that means another thing when it is told with
// its names, and for a right that denying everything leaves.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			if _, ok := err.(*Error); !ok || p != nil {
				t.Fatalf("%v with an error that is a %T", p, err)
			}
			return
		}
		names := make(map[string]string)
		add := func(list []string) {
			for _, name := range list {
				if _, isGroup := p.groups[name]; !isGroup && name != everyone {
					names[name] = name // an id stands for itself
				}
			}
		}
		for _, g := range p.groups {
			add(g.members)
		}
		for _, r := range p.rules {
			add(r.peers)
		}
		for _, test := range p.tests {
			add([]string{test.peer})
		}
		r, err := p.Resolve(names)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resolve(r.Names()); err != nil {
			t.Fatalf("with the names it used: %v", err)
		}
		var told []Name
		for _, name := range slices.Sorted(maps.Keys(r.Names())) {
			told = append(told, Name{name, eveID, "a note\n\"of\" two # lines"})
		}
		if again := p.WithNames(told); len(again) <= MaxText {
			q, err := Parse([]byte(again))
			if err != nil {
				t.Fatalf("told with its names: %v\n%s", err, again)
			}
			if q.WithNames(told) != again {
				t.Fatalf("told once more, it is another text than %q: %q", again, q.WithNames(told))
			}
			if got, err := q.Resolve(nil); err != nil || len(got.Names()) != len(told) || !sameRules(p, q) {
				t.Fatalf("told with its names, it says another thing: %v\n%s", err, again)
			}
		}
		closed, err := Parse(append(bytes.Clone(text), "\n"+policyText("deny * use,write,list,extract,store-read,store-write **")...))
		if err != nil {
			return // deny = [] in front
		}
		r, err = closed.Resolve(names)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range r.tests {
			if d := r.Can(test.id, test.op, test.loc); d.Allowed {
				t.Errorf("%s: %+v", test.on, d)
			}
		}
	})
}

// sameRules says whether two policies have the same groups, rules and tests,
// wherever they stand.
func sameRules(p, q *Policy) bool {
	flat := func(p *Policy) (out []string) {
		for name, g := range p.groups {
			out = append(out, fmt.Sprintf("%q %q", name, g.members))
		}
		slices.Sort(out)
		for _, r := range p.rules {
			out = append(out, fmt.Sprintf("%v %s %q %v %v", r.deny, r.name, r.peers, r.ops, r.on))
		}
		for _, t := range p.tests {
			out = append(out, fmt.Sprintf("%s %q %s %q %v", t.name, t.peer, t.op.Name, t.on, t.allow))
		}
		return out
	}
	return slices.Equal(flat(p), flat(q))
}

// Seeds once moved away from under a project's fuzz targets, which then ran on
// none and were green.
func TestFuzzSeedsExist(t *testing.T) {
	for _, target := range []string{"FuzzParse", "FuzzPattern"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		if err != nil || len(seeds) < 5 {
			t.Errorf("%s has %d seeds, %v", target, len(seeds), err)
		}
		for _, seed := range seeds {
			b, err := os.ReadFile(seed)
			if err != nil || !bytes.HasPrefix(b, []byte("go test fuzz v1\n")) {
				t.Errorf("%s is no seed: %v", seed, err)
			}
		}
	}
}

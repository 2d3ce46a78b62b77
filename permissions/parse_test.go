package permissions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// contract is the policy that the command line's contract shows.
const contract = `
[groups]
phones = ["alice-phone", "bob-phone"]

[[allow]]
peers = ["phones", "laptop"]           # names, groups, peer ids, or "*"
ops   = ["ed25519.sign", "key.public"] # operations, or classes: use, write, list, extract, store-read, store-write
on    = ["wallet/keys/*"]              # * within a segment, ** across; %2A is a literal star
# conditions (each optional): until, hours, rate, uses, max_size, paths, approve

[[deny]]                               # deny wins; order means nothing; nothing matched means no
peers = ["*"]
ops   = ["extract"]
on    = ["**"]

[[test]]
peer = "laptop"
op   = "ed25519.sign"
on   = "wallet/keys/main"
expect = "allow"
`

// Peers that the tests' policies speak of.
const (
	laptopID = "12D3KooWLaptop11111111111111111111111111111111111111"
	aliceID  = "12D3KooWA1ice111111111111111111111111111111111111111"
	bobID    = "12D3KooWBob11111111111111111111111111111111111111111"
	eveID    = "12D3KooWEve11111111111111111111111111111111111111111"
)

var peers = map[string]string{"laptop": laptopID, "alice-phone": aliceID, "bob-phone": bobID, "eve": eveID}

func mustParse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return p
}

func mustResolve(t testing.TB, text string) *Rules {
	t.Helper()
	r, err := mustParse(t, text).Resolve(peers)
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return r
}

// rules resolves a policy given as lines of "allow|deny PEER,… OP,… PATTERN,…".
func rules(t testing.TB, lines ...string) *Rules {
	t.Helper()
	return mustResolve(t, policyText(lines...))
}

func policyText(lines ...string) string {
	var b strings.Builder
	list := func(s string) string { return "['" + strings.ReplaceAll(s, ",", "', '") + "']" }
	for _, line := range lines {
		f := strings.Fields(line)
		fmt.Fprintf(&b, "[[%s]]\npeers = %s\nops = %s\non = %s\n", f[0], list(f[1]), list(f[2]), list(f[3]))
	}
	return b.String()
}

func location(t testing.TB, text string) *protocol.Location {
	t.Helper()
	loc, err := protocol.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func operation(t testing.TB, name string) *protocol.Operation {
	t.Helper()
	op, ok := protocol.Lookup(name)
	if !ok {
		t.Fatalf("no operation %s", name)
	}
	return op
}

func TestParseContract(t *testing.T) {
	r := mustResolve(t, contract)
	if f := r.Test(); f != nil {
		t.Errorf("the contract's own test fails: %v", f)
	}
	sign := operation(t, "ed25519.sign")
	for id, want := range map[string]bool{laptopID: true, aliceID: true, bobID: true, eveID: false} {
		if got := r.Can(id, sign, location(t, "wallet/keys/main")); got.Allowed != want {
			t.Errorf("%s: %+v, want %v", id, got, want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"comment":       "# nothing yet\n",
		"byte order":    "\ufeff" + contract,
		"CRLF":          strings.ReplaceAll(contract, "\n", "\r\n"),
		"inline tables": `allow = [{peers=["*"], ops=["use"], on=["**"]}]`,
		"literal texts": "[[allow]]\npeers = ['*']\nops = ['use']\non = ['**'] # ''' \"\"\"",
		"every class":   policyText("allow * use,write,list,extract,store-read,store-write **"),
		"store key":     policyText("allow * store-read client/key"),
		"both depths":   policyText("allow * use,store-read client/key,client/vault/record"),
		"peer id":       policyText("deny " + eveID + " use **"),
		"dotted":        "groups.phones = ['a']",
		"quoted group":  "[groups]\n'my phones' = ['a']",
		"escaped quote": `groups.g = ["a\"[[[[[["]`,
		"many lines":    "[[allow]]\npeers = [\n 'a',\n 'b', # second\n]\nops = ['use']\non = ['**']",
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := policyText("allow laptop use a/b/c")
	rule := func(line string) string { return good + "[[allow]]\n" + line }
	tests := []struct {
		name, text string
		line       int
		rule       string
		reason     string
	}{
		{"syntax", "\n[[allow]\n", 3, "", "expected"},
		{"key twice", "[[allow]]\npeers = ['a']\npeers = ['b']\n", 3, "", "already been defined"},
		{"not UTF-8", "# \xff", 0, "", "UTF-8"},
		{"too long", strings.Repeat("#", MaxText+1), 0, "", "longer than"},
		{"unknown key at the top", "[[alow]]\npeers=['a']", 0, "", "unknown key alow"},
		{"version", "version = 2", 0, "", "unknown key version"},
		{"a table for a list", "[allow]\npeers=['a']", 0, "", "[[allow]]"},
		{"a number in a list of tables", "allow = [{peers=['a'],ops=['use'],on=['**']}, 2]", 0, "", "[[allow]]"},
		{"other case of a key", rule("Peers=['a']\nops=['use']\non=['**']"), 5, "allow 2", "unknown key Peers"},
		{"one key, two cases", rule("peers=['a']\nPEERS=['*']\nops=['use']\non=['**']"), 5, "allow 2", "unknown key PEERS"},
		{"unknown key", rule("peers=['a']\nops=['use']\non=['**']\nunless=['x']"), 5, "allow 2", "unknown key unless"},
		{"no peers", rule("ops=['use']\non=['**']"), 5, "allow 2", "peers is missing"},
		{"no ops", rule("peers=['a']\non=['**']"), 5, "allow 2", "ops is missing"},
		{"no on", rule("peers=['a']\nops=['use']"), 5, "allow 2", "on is missing"},
		{"empty peers", rule("peers=[]\nops=['use']\non=['**']"), 5, "allow 2", "peers is empty"},
		{"empty ops", rule("peers=['a']\nops=[]\non=['**']"), 5, "allow 2", "ops is empty"},
		{"empty on", rule("peers=['a']\nops=['use']\non=[]"), 5, "allow 2", "on is empty"},
		{"peers as text", rule("peers='a'\nops=['use']\non=['**']"), 5, "allow 2", "peers must be a list of texts"},
		{"a number among ops", rule("peers=['a']\nops=['use', 1]\non=['**']"), 5, "allow 2", "ops must be a list of texts"},
		{"empty peer", rule("peers=['']\nops=['use']\non=['**']"), 5, "allow 2", "empty peer name"},
		{"star in a peer", rule("peers=['lap*']\nops=['use']\non=['**']"), 5, "allow 2", "stands for all peers"},
		{"unknown operation", rule("peers=['a']\nops=['ed25519.sing']\non=['**']"), 5, "allow 2", "unknown operation or class ed25519.sing"},
		{"other case of an operation", rule("peers=['a']\nops=['Use']\non=['**']"), 5, "allow 2", "unknown operation or class Use"},
		{"star as operation", rule("peers=['a']\nops=['*']\non=['**']"), 5, "allow 2", "unknown operation or class *"},
		{"local operation", rule("peers=['a']\nops=['policy.apply']\non=['**']"), 5, "allow 2", "not for peers"},
		{"zone operation", rule("peers=['a']\nops=['zone.open']\non=['**']"), 5, "allow 2", "not for peers"},
		{"bad pattern", rule("peers=['a']\nops=['use']\non=['a//b']"), 5, "allow 2", "empty segment"},
		{"a folder", rule("peers=['a']\nops=['use']\non=['wallet/keys']"), 5, "allow 2", "can never match"},
		{"a record for the store", rule("peers=['a']\nops=['store-read']\non=['a/b/c']"), 5, "allow 2", "a store key is client/key"},
		{"in a rule that denies", "[[deny]]\npeers=['a']\nops=['use']\non=['..']", 1, "deny 1", ".."},
		{"groups as list", "groups = ['a']", 0, "", "groups must be a table"},
		{"empty group", "[groups]\na = []", 0, "group a", "a is empty"},
		{"group of a number", "[groups]\na = [1]", 0, "group a", "list of texts"},
		{"group in a group", "[groups]\na = ['x']\nb = ['a']", 0, "group b", "a is a group"},
		{"group in itself", "[groups]\na = ['a']", 0, "group a", "a is a group"},
		{"everyone in a group", "[groups]\na = ['*']", 0, "group a", "stands for all peers"},
		{"group of everyone's name", "[groups]\n'*' = ['a']", 0, "group *", "no *"},
		{"group without a name", "[groups]\n'' = ['a']", 0, `group ""`, "not empty"},
		{"group like an id", "[groups]\n" + eveID + " = ['a']", 0, "group " + eveID, "looks like a peer id"},
		{"test with an unknown key", "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b/c'\nexpect='deny'\nwhy='x'", 1, "test 1", "unknown key why"},
		{"test without expect", "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b/c'", 1, "test 1", "expect is missing"},
		{"test that expects something else", "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b/c'\nexpect='Allow'", 1, "test 1", "allow or deny"},
		{"test of a class", "[[test]]\npeer='a'\nop='use'\non='a/b/c'\nexpect='deny'", 1, "test 1", "unknown operation"},
		{"test of a local operation", "[[test]]\npeer='a'\nop='node.lock'\non=''\nexpect='deny'", 1, "test 1", "not for peers"},
		{"test of everyone", "[[test]]\npeer='*'\nop='ed25519.sign'\non='a/b/c'\nexpect='deny'", 1, "test 1", "all peers"},
		{"test of a group", "groups.g=['a']\n[[test]]\npeer='g'\nop='ed25519.sign'\non='a/b/c'\nexpect='deny'", 2, "test 1", "g is a group"},
		{"test of a pattern", "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b/*'\nexpect='deny'", 1, "test 1", "one location"},
		{"test of no location", "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b/c/d'\nexpect='deny'", 1, "test 1", "more than"},
		{"test of a prefix", "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b'\nexpect='deny'", 1, "test 1", "a record is"},
		{"text of several lines", "a = '''\n'''", 1, "", "several lines"},
		{"text of several lines, double", "a = \"\"\"\n\"\"\"", 1, "", "several lines"},
	}
	for _, c := range conditions {
		tests = append(tests, struct {
			name, text string
			line       int
			rule       string
			reason     string
		}{"condition " + c, rule("peers=['a']\nops=['use']\non=['**']\n" + c + "='x'"), 5, "allow 2", c + " is not supported by this version"})
	}
	for _, test := range tests {
		p, err := Parse([]byte(test.text))
		var e *Error
		if !errors.As(err, &e) || p != nil {
			t.Errorf("%s: got %v, %v", test.name, p, err)
			continue
		}
		if e.Line != test.line || e.Rule != test.rule || !strings.Contains(e.Reason, test.reason) {
			t.Errorf("%s: got line %d, rule %q, %q", test.name, e.Line, e.Rule, e.Reason)
		}
	}
}

func TestParseConditionsAreTheContracts(t *testing.T) {
	_, line, _ := strings.Cut(contract, "each optional): ")
	line, _, _ = strings.Cut(line, "\n")
	if got := strings.Split(line, ", "); !slices.Equal(got, conditions) {
		t.Errorf("the contract names the conditions %v, the code %v", got, conditions)
	}
}

func TestParseLimits(t *testing.T) {
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "'n%d',", i)
		}
		return b.String()
	}
	groups := func(n int) string {
		var b strings.Builder
		b.WriteString("[groups]\n")
		for i := range n {
			fmt.Fprintf(&b, "g%d=['a']\n", i)
		}
		return b.String()
	}
	product := func(n int) string {
		return "[[allow]]\npeers=[" + names(n) + "]\nops=['use']\non=['**']\n"
	}
	aRule := "[[deny]]\npeers=['a']\nops=['use']\non=['**']\n"
	aTest := "[[test]]\npeer='a'\nop='ed25519.sign'\non='a/b/c'\nexpect='deny'\n"
	for _, test := range []struct {
		name, at, over, reason string
	}{
		{"rules", many(MaxRules, aRule), many(MaxRules+1, aRule), "rules"},
		{"tests", many(MaxTests, aTest), many(MaxTests+1, aTest), "tests"},
		{"groups", groups(MaxGroups), groups(MaxGroups + 1), "groups"},
		{"entries", product(MaxEntries), product(MaxEntries + 1), "combinations"},
	} {
		if _, err := Parse([]byte(test.at)); err != nil {
			t.Errorf("%s at the limit: %v", test.name, err)
		}
		if _, err := Parse([]byte(test.over)); err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s over the limit: %v", test.name, err)
		}
	}
}

// A policy comes from a person of this machine, but also out of a backup, a
// mail or a browser. None may stop a node by being read.
func TestParseBombs(t *testing.T) {
	const n = MaxText / 4
	for name, text := range map[string]string{
		"brackets":       "a=" + strings.Repeat("[", n),
		"closed":         "a=" + strings.Repeat("[", n/2) + strings.Repeat("]", n/2),
		"inline tables":  strings.Repeat("a={", n/3),
		"on many lines":  "a=" + strings.Repeat("[\n", n/2),
		"dotted key":     strings.Repeat("a.", n/2) + "a=1",
		"dotted header":  "[" + strings.Repeat("a.", n/2) + "a]",
		"spaced dots":    strings.Repeat("a . ", n/4) + "a=1",
		"quoted dots":    strings.Repeat(`"#".`, n/4) + "a=1",
		"escaped quotes": `"\"` + strings.Repeat(`\"`, n/2) + `"=1`,
		"tables":         strings.Repeat("[[allow]]\n", n/10),
		"empty tables":   "allow=[" + strings.Repeat("{},", n/3) + "]",
		"numbers":        "a=[" + strings.Repeat("1,", n/2) + "]",
		"newlines":       strings.Repeat("\n", n) + "a=[",
		"stars":          "[[allow]]\npeers=['a']\nops=['use']\non=['" + strings.Repeat("*a", n/2) + "']",
		"slashes":        "[[allow]]\npeers=['a']\nops=['use']\non=['" + strings.Repeat("/", n) + "']",
		"across":         "[[allow]]\npeers=['a']\nops=['use']\non=['" + strings.Repeat("**/", n/3) + "**']",
		"quotes":         strings.Repeat("'", n),
	} {
		start := time.Now()
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		// They take milliseconds. What this looks for takes hours.
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestErrorsDoNotDriveATerminal(t *testing.T) {
	for _, text := range []string{
		"[[allow]]\npeers=['a']\nops=[\"\\u001b[2J\"]\non=['**']",
		"\"\\u001b[2J\" = 1",
		"\"\\u001b[2J\" = 1\n\"\\u001b[2J\" = 1",
		"[groups]\n\"\\u001b[2J\" = []",
		"[[allow]]\npeers=['a']\nops=['use']\non=[\"\\u001b[2J\"]",
		"[[test]]\npeer='a'\nop='ed25519.sign'\non=\"\\u001b[2J\"\nexpect='deny'",
	} {
		_, err := Parse([]byte(text))
		if err == nil || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%q: %q", text, err)
		}
	}
}

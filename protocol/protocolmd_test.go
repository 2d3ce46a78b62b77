package protocol

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/hex"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var update = flag.Bool("update", false, "write the tables of PROTOCOL.md anew")

// TestProtocolDoc compares PROTOCOL.md with the code: what stands between
// <!-- begin: x --> and <!-- end: x --> must be what parts["x"] writes.
func TestProtocolDoc(t *testing.T) {
	file, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(file)
	parts := map[string]func(t *testing.T, now string) string{
		"frames":     docFrames,
		"limits":     docLimits,
		"statuses":   docStatuses,
		"operations": docOperations,
		"steps":      docSteps,
		"kinds":      docKinds,
		"flags":      docFlags,
		"sealing":    docSealing,
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		begin, end := "<!-- begin: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, ok := strings.Cut(doc, begin)
		now, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("PROTOCOL.md has no part %s", name)
			continue
		}
		want := parts[name](t, now)
		if *update {
			doc = before + begin + want + end + after
			continue
		}
		if diff := lineDiff(now, want); diff != "" {
			t.Errorf("PROTOCOL.md, part %s, differs from the code. -update writes it anew. Lines with - should not be there, those with + should:\n%sThe whole part:\n\n%s",
				name, diff, want)
		}
	}
	if begins := strings.Count(doc, "<!-- begin: "); begins != len(parts) {
		t.Errorf("PROTOCOL.md has %d parts, of which %d are compared", begins, len(parts))
	}
	if *update {
		if err := os.WriteFile("PROTOCOL.md", []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	// What stands in the text itself.
	if n := strings.Count(doc, "`"+ID+"`"); n < 2 {
		t.Errorf("PROTOCOL.md names the protocol id %d times", n)
	}
	var rights, classes []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| .* \\|$").FindAllStringSubmatch(section(t, doc, "Rights"), -1) {
		rights = append(rights, m[1])
	}
	for _, c := range Classes {
		classes = append(classes, string(c))
	}
	if !slices.Equal(rights, classes) {
		t.Errorf("PROTOCOL.md has the rights %q, the code %q", rights, classes)
	}
	for _, text := range []string{string(ToZone), string(ToAsker), fmt.Sprintf("at most %d requests", DefaultInFlight),
		fmt.Sprintf("%.0f seconds", DefaultFrameTimeout.Seconds()), fmt.Sprintf("ids of %d bytes", IDSize)} {
		if !strings.Contains(doc, text) {
			t.Errorf("PROTOCOL.md does not say %q", text)
		}
	}
}

// section returns what stands below a heading.
func section(t *testing.T, doc, title string) string {
	t.Helper()
	_, rest, ok := strings.Cut(doc, "\n## "+title+"\n")
	if !ok {
		t.Fatalf("PROTOCOL.md has no section %s", title)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// lineDiff says which lines are only in one of two texts, and whether the rest
// is in another order.
func lineDiff(now, want string) string {
	if now == want {
		return ""
	}
	var b strings.Builder
	is, should := strings.Split(now, "\n"), strings.Split(want, "\n")
	for _, l := range is {
		if !slices.Contains(should, l) {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, l := range should {
		if !slices.Contains(is, l) {
			fmt.Fprintf(&b, "+ %s\n", l)
		}
	}
	if b.Len() == 0 {
		return "(the same lines in another order)\n"
	}
	return b.String()
}

// TestLineDiff has the comparison above fail in both directions.
func TestLineDiff(t *testing.T) {
	tests := []struct{ now, want, diff string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\n", "a\n", "- b\n"},
		{"a\n", "a\nb\n", "+ b\n"},
		{"a\nc\n", "a\nb\n", "- c\n+ b\n"},
		{"b\na\n", "a\nb\n", "(the same lines in another order)\n"},
	}
	for _, tt := range tests {
		if got := lineDiff(tt.now, tt.want); got != tt.diff {
			t.Errorf("lineDiff(%q, %q) = %q, want %q", tt.now, tt.want, got, tt.diff)
		}
	}
}

// docLimits reads the constants, and what is said of them, from protocol.go:
// those that begin with Max or Default.
func docLimits(t *testing.T, _ string) string {
	file, err := parser.ParseFile(token.NewFileSet(), "protocol.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, s := range d.Specs {
			spec := s.(*ast.ValueSpec)
			name := spec.Names[0].Name
			if !strings.HasPrefix(name, "Max") && !strings.HasPrefix(name, "Default") {
				continue
			}
			expr := types.ExprString(spec.Values[0])
			seconds := strings.NewReplacer("time.Second", "1", "time.Minute", "60").Replace(expr)
			v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, seconds)
			if err != nil {
				t.Errorf("the limit %s: %v", name, err)
				continue
			}
			value := v.Value.String()
			if seconds != expr {
				value += " s"
			}
			rows = append(rows, []string{name, value, strings.TrimSpace(spec.Comment.Text())})
		}
	}
	if len(rows) < 6 {
		t.Errorf("protocol.go has only %d limits", len(rows))
	}
	return table([]string{"limit", "value", ""}, rows)
}

func docStatuses(t *testing.T, _ string) string {
	var rows [][]string
	for _, n := range slices.Sorted(maps.Keys(Status_name)) {
		s := Status(n)
		switch s {
		case Status_STATUS_UNSPECIFIED:
			continue // never sent
		case Status_OK:
			rows = append(rows, []string{fmt.Sprint(n), s.String(), "done; the answer has the result"})
			continue
		}
		if meanings[s] == "" {
			t.Errorf("the status %v has no meaning in errors.go", s)
		}
		rows = append(rows, []string{fmt.Sprint(n), s.String(), meanings[s]})
	}
	return table([]string{"number", "status", "it means"}, rows)
}

func docKinds(*testing.T, string) string {
	var b strings.Builder
	for _, k := range Kinds() {
		fmt.Fprintf(&b, "- `%s`\n", k)
	}
	return b.String()
}

func docFlags(*testing.T, string) string {
	var b strings.Builder
	for _, f := range Flags() {
		fmt.Fprintf(&b, "- `%s`\n", f)
	}
	return b.String()
}

func docSteps(*testing.T, string) string {
	var b strings.Builder
	for _, op := range Operations {
		if op.InPipeline() {
			fmt.Fprintf(&b, "- `%s`\n", op.Name)
		}
	}
	return b.String()
}

func docOperations(*testing.T, string) string {
	var rows [][]string
	for _, op := range Operations {
		var in, out []string
		for _, f := range op.In {
			text := "`" + f.Name + "`"
			if !f.Required {
				text = "[" + text + "]"
			}
			if f.Needs != "" {
				text += " takes " + string(f.Needs)
			}
			if f.Also != "" {
				text += " and " + string(f.Also)
			}
			if f.Doc != "" {
				text += " (" + f.Doc + ")"
			}
			in = append(in, text)
		}
		for _, name := range op.Out {
			out = append(out, "`"+name+"`")
		}
		changes := ""
		if op.Changes {
			changes = "changes"
		}
		rows = append(rows, []string{"`" + op.Name + "`", op.Door.String(), changes, strings.Join(in, ", "), strings.Join(out, ", "), op.Doc})
	}
	return table([]string{"operation", "door", "", "inputs", "outputs", "what it does"}, rows)
}

func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString(strings.TrimRight("| "+strings.ReplaceAll(c, "|", `\|`), " ") + " ")
		}
		b.WriteString("|\n")
	}
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		line(r)
	}
	return b.String()
}

// docFrames writes frames, and reads them back as a stream would.
func docFrames(t *testing.T, _ string) string {
	frames := []struct {
		name string
		f    *Frame
	}{
		{"A request", &Frame{Id: 7, Body: &Frame_Request{Request: &Request{Id: vectorID(), Operation: "ed25519.sign", TimeoutMs: 5000,
			Location: &Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte("main")}, Message: []byte{}}}}},
		{"Its answer", &Frame{Id: 7, Body: &Frame_Response{Response: &Response{Status: Status_NOT_FOUND}}}},
		{"A message of 200 bytes, so that the length takes two", &Frame{Id: 1 << 40, Body: &Frame_Request{Request: &Request{Id: vectorID(), Operation: "ed25519.sign",
			Location: &Location{Client: []byte("c"), Vault: []byte{0xff}, Version: proto.Uint64(0)}, Message: bytes.Repeat([]byte("m"), 200)}}}},
	}
	var b strings.Builder
	b.WriteString("As hexadecimal digits; what each frame says is in the text format of protocol buffers.\n")
	for _, v := range frames {
		frame, err := AppendFrame(nil, v.f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadFrame(bufio.NewReader(bytes.NewReader(frame)))
		if err != nil || !proto.Equal(back, v.f) {
			t.Errorf("%s is read as %v, %v", v.name, back, err)
		}
		fmt.Fprintf(&b, "\n%s:\n\n```\n%s```\n\n```\n%s```\n", v.name, text(v.f), lines(frame))
	}
	return b.String()
}

// text is a message in the text format. Its library adds spaces by chance, so
// that nobody compares its output.
func text(m proto.Message) string {
	b := prototext.MarshalOptions{Multiline: true, Indent: "  "}.Format(m)
	return regexp.MustCompile(`: +`).ReplaceAllString(b, ": ")
}

// lines breaks hexadecimal digits into lines of 32 bytes.
func lines(b []byte) string {
	var out strings.Builder
	for chunk := range slices.Chunk(b, 32) {
		fmt.Fprintf(&out, "%x\n", chunk)
	}
	return out.String()
}

func vectorID() []byte {
	id := make([]byte, 16)
	for i := range id {
		id[i] = byte(i)
	}
	return id
}

// docSealing opens the sealed values that stand in the text with a fixed key,
// and seals anew those that do not open.
func docSealing(t *testing.T, now string) string {
	vectors := []struct {
		name, field string
		dir         Direction
		req         *Request
		plaintext   []byte
	}{
		{"A key on its way to the zone", "secret", ToZone, &Request{Id: vectorID(), Operation: "key.import", Kind: Ed25519,
			Location: &Location{Client: []byte("wallet"), Vault: []byte("keys"), Record: []byte("main")}}, bytes.Repeat([]byte{0x42}, 32)},
		{"A passphrase", "secret", ToZone, &Request{Id: vectorID(), Operation: "node.unlock"}, []byte("correct horse battery staple")},
		{"Every part of a location, on the way to the asker", "reply_key", ToAsker, &Request{Id: vectorID(), Operation: "bip39.generate",
			Location: &Location{Client: []byte{0}, Vault: []byte("é"), Version: proto.Uint64(7)},
			Target:   &Location{ClientId: bytes.Repeat([]byte{1}, 24), VaultId: bytes.Repeat([]byte{2}, 24), Head: true}}, []byte("a secret answer")},
	}
	private := bytes.Repeat([]byte{0x17}, 32)
	key := sealKey(t, private)
	was := regexp.MustCompile("(?m)^sealed:\n((?:[0-9a-f]+\n)+)").FindAllStringSubmatch(now, -1)

	var b strings.Builder
	fmt.Fprintf(&b, "The recipient's X25519 keys, here and below:\n\n```\nprivate:\n%spublic:\n%s```\n", lines(private), lines(key.Public()))
	for i, v := range vectors {
		var sealed []byte
		if i < len(was) {
			sealed, _ = hex.DecodeString(strings.ReplaceAll(was[i][1], "\n", ""))
		}
		opened, err := Open(key, v.req, v.field, v.dir, sealed)
		if err != nil || !bytes.Equal(opened, v.plaintext) {
			if !*update {
				t.Errorf("%s: the sealed value in PROTOCOL.md does not open to the plaintext: %v", v.name, err)
			}
			if sealed, err = Seal(key.Public(), v.req, v.field, v.dir, v.plaintext); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&b, "\n%s, for the field `%s` of the request\n\n```\n%s```\n\n```\ninfo:\n%splaintext:\n%ssealed:\n%s```\n", v.name, v.field,
			text(v.req), lines(sealInfo(v.req, v.field, v.dir)), lines(v.plaintext), lines(sealed))
	}
	return b.String()
}

// sealKey is a key whose private half is known, which no code makes.
func sealKey(t *testing.T, private []byte) *SealKey {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := hpke.NewDHKEMPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return &SealKey{private: key}
}

// TestOperationTable holds the table itself: it is sorted, its fields exist in
// the messages, and whoever stands at the peer door must have a right to show.
func TestOperationTable(t *testing.T) {
	if !slices.IsSortedFunc(Operations, func(a, b Operation) int { return cmp.Compare(a.Name, b.Name) }) {
		t.Error("the operations are not sorted by name")
	}
	request, response := new(Request).ProtoReflect().Descriptor().Fields(), new(Response).ProtoReflect().Descriptor().Fields()
	for i := range Operations {
		op := &Operations[i]
		if !regexp.MustCompile(`^[a-z0-9]+\.[a-z0-9]+$`).MatchString(op.Name) || op.Doc == "" {
			t.Errorf("%s: not noun.verb, or without a word about it", op.Name)
		}
		if found, ok := Lookup(op.Name); !ok || found != op {
			t.Errorf("%s is not found", op.Name)
		}
		rights := 0
		seen := map[string]bool{}
		for _, f := range op.In {
			if seen[f.Name] {
				t.Errorf("%s takes %s twice", op.Name, f.Name)
			}
			seen[f.Name] = true
			if request.ByName(protoreflect.Name(f.Name)) == nil {
				t.Errorf("%s takes %s, which a request does not have", op.Name, f.Name)
			}
			if f.Needs != "" {
				rights++
				if !slices.Contains(Classes, f.Needs) || f.Name != "location" && f.Name != "target" {
					t.Errorf("%s: %s takes the right %q", op.Name, f.Name, f.Needs)
				}
			}
			if f.Also != "" {
				rights++
			}
		}
		for _, name := range op.Out {
			if response.ByName(protoreflect.Name(name)) == nil {
				t.Errorf("%s gives %s, which a response does not have", op.Name, name)
			}
		}
		if op.Door == DoorPeer && rights == 0 && !seen["steps"] { // which take theirs
			t.Errorf("%s is for peers and takes no right", op.Name)
		}
		if accesses := op.Accesses(&Request{}); len(accesses) != rights {
			t.Errorf("%s takes %d rights and says %d", op.Name, rights, len(accesses))
		}
	}
	for _, name := range []string{"", "a", "zz.zz", "key.generat", "key.generatee"} {
		if op, ok := Lookup(name); ok {
			t.Errorf("%q is found as %s", name, op.Name)
		}
	}
}

package snapshot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/vault"
)

// table returns the rows of the table behind "<!-- test: NAME -->", a cell with its back quotes cut off.
func table(t *testing.T, doc, name string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(doc, "<!-- test: "+name+" -->\n")
	if !ok {
		t.Fatalf("FORMAT.md has no table %s", name)
	}
	for i, line := range strings.Split(rest, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if i < 2 {
			continue // head and rule
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		t.Fatalf("table %s of FORMAT.md is empty", name)
	}
	return rows
}

// numbers is a table as a map from its first column to its second.
func numbers(t *testing.T, doc, name string) map[string]int {
	t.Helper()
	m := map[string]int{}
	for _, row := range table(t, doc, name) {
		n, err := strconv.Atoi(row[1])
		if err != nil && len(row[1]) == 1 {
			n, err = int(row[1][0]), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		m[row[0]] = n
	}
	return m
}

// constants are those of a type in a file of package vault.
func constants(t *testing.T, file, typ string) map[string]int {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]int{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Type == nil || fmt.Sprint(spec.Type) != typ {
			return true
		}
		for i, name := range spec.Names {
			switch v := spec.Values[i].(type) {
			case *ast.BasicLit:
				m[name.Name], err = strconv.Atoi(v.Value)
			case *ast.BinaryExpr: // 1 << n
				var shift int
				shift, err = strconv.Atoi(v.Y.(*ast.BasicLit).Value)
				m[name.Name] = 1 << shift
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return true
	})
	return m
}

func TestFormat(t *testing.T) {
	b, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for name, want := range map[string]map[string]int{
		"constants": {
			"major version": major, "minor version": minor, "file id, bytes": idSize, "salt, bytes": saltSize, "MAC, bytes": macSize,
			"key, bytes": keySize, "tag, bytes": tagSize, "head of a block, bytes": blockHead, "plaintext of a chunk, bytes": chunkSize,
			"slots, at most": maxSlots, "a slot, bytes at most": maxSlotSize, "label, bytes at most": MaxLabel, "recipient, bytes at most": maxRecipient, "settings, bytes at most": maxSettings,
			"name, bytes at most": vault.MaxName, "sealed name, bytes at most": maxName + nameExtra, "sealed, bytes at least": minSealed,
			"hint, bytes at most": vault.MaxHint, "secret, bytes at most": vault.MaxSecret, "sealed record, bytes at most": maxSealed,
			"store value, bytes at most": vault.MaxValue, "sector, bytes": sectorSize,
			"scrypt cost, at least when a slot is made": MinCost, "scrypt cost, at most": MaxCost,
		},
		"blocks": {"client section": blockClient, "index": blockIndex, "batch": blockBatch, "session": blockSession, "entry": blockEntry},
		"slots":  {"passphrase": int(PassphraseSlot), "recipient": int(RecipientSlot), "key": int(KeySlot)},
		"edits":  {"record": editRecord, "item": editItem, "removed item": editRemove, "client": editClient, "purged client": editPurge, "keep": editKeep},
		"bits":   {"revoked": bitRevoked, "counter": bitCounter},
		"kinds":  constants(t, "../vault/record.go", "Kind"),
		"flags":  constants(t, "../vault/record.go", "Flags"),
	} {
		if got := numbers(t, doc, name); !maps.Equal(got, want) {
			t.Errorf("FORMAT.md, %s:\n%v\nthe code has\n%v", name, got, want)
		}
	}
	if !strings.Contains(doc, "magic: `"+magic+"`") || !strings.Contains(doc, "version "+Version+"\n") {
		t.Error("FORMAT.md has another magic or version")
	}

	// Each purpose that the code derives a key for has its row, and no other.
	var purposes []string
	for _, row := range table(t, doc, "keys") {
		purposes = append(purposes, row[0])
	}
	var used []string
	for _, file := range []string{"header.go", "journal.go", "read.go", "replay.go", "rest.go", "write.go", "snapshot.go", "slot.go", "stream.go"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(src), `derive("`)[1:] {
			purpose, _, _ := strings.Cut(part, `"`)
			used = append(used, purpose)
		}
	}
	slices.Sort(used)
	if used = slices.Compact(used); !slices.Equal(slices.Sorted(slices.Values(purposes)), used) {
		t.Errorf("FORMAT.md has the purposes %q, the code %q", purposes, used)
	}
}

// The example in FORMAT.md is a file, and says what the page says.
func TestFormatVector(t *testing.T) {
	const begin, end = "<!-- begin: vector -->\n", "<!-- end: vector -->"
	b, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(b), begin)
	old, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatal("FORMAT.md has no vector")
	}
	if *update {
		old = vector(t)
		if err := os.WriteFile("FORMAT.md", []byte(before+begin+old+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	_, digits, _ := strings.Cut(old, "```\n")
	digits, _, _ = strings.Cut(digits, "```")
	file, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatal(err)
	}
	k := fixedKeys(t)
	s, err := readBelow(t, k, file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.DB.Sequence() != 3 || s.Recovered || s.Base == s.Length || s.Length != int64(len(file)) {
		t.Errorf("change %d, base %d, length %d of %d", s.DB.Sequence(), s.Base, s.Length, len(file))
	}
	for path, want := range map[string]string{"wallet/keys/note": "attack at dawn", "wallet/keys/@0": "at noon"} {
		seg := strings.Split(path, "/")
		p := vault.At([]byte(seg[0]), []byte(seg[1]), []byte(seg[2]))
		if seg[2] == "@0" {
			p = p.Version(0)
		}
		err := s.DB.Lend(p, func(r *vault.Record, b []byte) error {
			if r.Kind != vault.Data || string(b) != want || string(r.Hint) != "a hint" {
				t.Errorf("%s is %d %q %q", path, r.Kind, r.Hint, b)
			}
			return nil
		})
		if err != nil {
			t.Error(path, err)
		}
	}
	if it, err := s.DB.Get(vault.ClientID([]byte("wallet")), []byte("colour")); err != nil || string(it.Value) != "blue" {
		t.Errorf("the item: %v %v", it, err)
	}
	page, err := s.DB.List(&vault.Query{Limit: 10})
	if err != nil || len(page.Records) != 2 {
		t.Fatal(page, err)
	}
	for _, l := range page.Records {
		if string(l.Place.ClientName) != "wallet" || string(l.Place.VaultName) != "keys" {
			t.Errorf("listed as %q/%q", l.Place.ClientName, l.Place.VaultName)
		}
	}
	// Its slot opens with the passphrase that the page tells.
	whole, err := Read(bytes.NewReader(file), with(newArena(t), passphrase), Options{Arena: newArena(t)})
	if err != nil {
		t.Fatal(err)
	}
	whole.Close()
	if _, err := Read(bytes.NewReader(file), with(newArena(t), "another"), Options{Arena: newArena(t)}); !errors.Is(err, ErrWrongKey) {
		t.Error(err)
	}
}

// vector makes the example.
func vector(t *testing.T) string {
	k := fixedKeys(t)
	h := k.header(t, passphrase)
	db := newDB(t, k)
	set(t, db, "wallet/keys/note", "attack at dawn")
	setItem(t, db, "wallet", "colour", "blue")
	file, j := write(t, k, h, db)
	file = append(file, seal(t, j, set(t, db, "wallet/keys/@head", "at noon"))...)
	var out strings.Builder
	fmt.Fprintf(&out, `The root key is 00 01 02 … 1f, the key of records 20 21 22 … 3f. The slot opens with the passphrase %q; its cost is 1, which no
writer makes, so that a test is quick. Folded, it holds the record wallet/keys/note, of the kind Data with
the secret "attack at dawn" and the hint "a hint", and the item "colour" of the client wallet, with the
value "blue". An entry adds version 0 in the same vault, with the secret "at noon" and the same hint.

`, passphrase)
	out.WriteString("```\n")
	for digits := range slices.Chunk([]byte(hex.EncodeToString(file)), 80) {
		fmt.Fprintf(&out, "%s\n", digits)
	}
	out.WriteString("```\n")
	return out.String()
}

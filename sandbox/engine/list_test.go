package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// reachOf reads a pattern: a segment with a star is pieces, * alone any, @* any version, @7 that one.
func reachOf(t testing.TB, text string) *protocol.Reach {
	t.Helper()
	r := new(protocol.Reach)
	if text == "" {
		return r
	}
	for part := range strings.SplitSeq(text, "/") {
		s := new(protocol.Segment)
		switch {
		case part == "*":
		case part == "@*":
			s.Versions = true
		case part[0] == '@':
			s.Version = at(t, "c/v/"+part).Version
		case strings.Contains(part, "*"):
			s.Pieces = bytes.Split([]byte(part), []byte("*"))
		default:
			s.Is = []byte(part)
		}
		r.Path = append(r.Path, s)
	}
	return r
}

func reachesOf(t testing.TB, texts []string) (all []*protocol.Reach) {
	for _, text := range texts {
		all = append(all, reachOf(t, text))
	}
	return all
}

// lies says whether a record, or a key, lies in a reach, by the text of both.
func lies(record, reach string) bool {
	if reach == "" {
		return true
	}
	names := strings.Split(record, "/")
	for i, part := range strings.Split(reach, "/") {
		version := strings.HasPrefix(names[i], "@")
		before, after, star := strings.Cut(part, "*")
		switch {
		case part == "*":
		case part == "@*":
			if !version {
				return false
			}
		case star:
			if version || len(names[i]) < len(before)+len(after) || !strings.HasPrefix(names[i], before) || !strings.HasSuffix(names[i], after) {
				return false
			}
		case part != names[i]:
			return false
		}
	}
	return true
}

// listAll asks for all pages of a listing.
func listAll(t testing.TB, e *Engine, req *protocol.Request) (all []string, pages int) {
	t.Helper()
	for {
		resp := ok(t, e, req)
		if req.Limit > 0 && len(resp.Entries) > int(req.Limit) {
			t.Fatalf("a page of %d has %d", req.Limit, len(resp.Entries))
		}
		for _, entry := range resp.Entries {
			all = append(all, entry.Location.Text())
		}
		pages++
		if len(resp.Next) == 0 {
			return all, pages
		}
		req.Id, req.After = nil, resp.Next
	}
}

// TestListReach compares a listing that is kept to some places, and from others, with one of everything that
// is filtered by the text of the paths, for all page sizes.
func TestListReach(t *testing.T) {
	e, _ := opened(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, c := range []string{"a", "b", "ab"} {
		for _, v := range []string{"v", "w", "vw"} {
			for i, r := range []string{"0", "1", "01", "10"} {
				req := generate(t, c+"/"+v+"/"+r)
				if i == 1 {
					req.Hint = []byte("hint")
				}
				do(t, e, req)
			}
		}
	}
	for range 3 {
		do(t, e, generate(t, "a/v/@head"))
		do(t, e, generate(t, "b/w/@head"))
	}
	for _, gone := range []string{"b/w/01", "a/v/@1"} {
		do(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, gone)})
	}
	segments := [][]string{{"a", "b", "ab", "nobody", "a*", "*b", "*", "*"}, {"v", "w", "nowhere", "v*", "*w", "*"}, {"0", "1", "01", "2", "0*", "*0", "@*", "@0", "@1", "@2", "*"}}
	some := func(most int) (parts []string) {
		for range random.IntN(most) {
			var path []string
			for _, names := range segments[:random.IntN(4)] {
				path = append(path, names[random.IntN(len(names))])
			}
			parts = append(parts, strings.Join(path, "/"))
		}
		return parts
	}
	for range 2000 {
		within, except := some(6), some(4)
		below := []string{"", "", "a", "b", "b/w", "a/v"}[random.IntN(6)]
		hint := []string{"", "", "hint"}[random.IntN(3)]
		var want []string
		everything, _ := listAll(t, e, &protocol.Request{Operation: "record.list", Location: at(t, below), Hint: []byte(hint), Limit: 100})
		for _, record := range everything {
			in := func(reach string) bool { return lies(record, reach) }
			if (len(within) == 0 || slices.ContainsFunc(within, in)) && !slices.ContainsFunc(except, in) {
				want = append(want, record)
			}
		}
		req := &protocol.Request{Operation: "record.list", Location: at(t, below), Hint: []byte(hint), Limit: uint32(1 + random.IntN(5)), Reach: reachesOf(t, within), Except: reachesOf(t, except)}
		if got, _ := listAll(t, e, req); !slices.Equal(got, want) {
			t.Fatalf("below %q within %q except %q with %q: %q, want %q", below, within, except, hint, got, want)
		}
	}
}

// TestListKeysReach is that for the keys of a store.
func TestListKeysReach(t *testing.T) {
	e, _ := opened(t)
	random := rand.New(rand.NewPCG(7, 8))
	names := []string{"a", "aa", "ab", "b", "ba", "bab", "bb"}
	for _, name := range names {
		do(t, e, &protocol.Request{Operation: "store.put", Location: at(t, "c/"+name), Value: []byte("v")})
	}
	segments := append([]string{"*", "a*", "b*", "*a", "b*b", "ba*", "none"}, names...)
	some := func(most int) (parts []string) {
		for range random.IntN(most) {
			parts = append(parts, []string{"", "c", "d", "c/" + segments[random.IntN(len(segments))], "*/" + segments[random.IntN(len(segments))]}[min(4, random.IntN(9))])
		}
		return parts
	}
	for range 2000 {
		within, except := some(5), some(4)
		prefix := []string{"", "", "a", "b", "ba", "c"}[random.IntN(6)]
		var want []string
		for _, name := range names {
			in := func(reach string) bool { return lies("c/"+name, reach) }
			if strings.HasPrefix(name, prefix) && (len(within) == 0 || slices.ContainsFunc(within, in)) && !slices.ContainsFunc(except, in) {
				want = append(want, "c/"+name)
			}
		}
		req := &protocol.Request{Operation: "store.list", Location: at(t, "c"), Prefix: []byte(prefix), Limit: uint32(1 + random.IntN(5)), Reach: reachesOf(t, within), Except: reachesOf(t, except)}
		if got, _ := listAll(t, e, req); !slices.Equal(got, want) {
			t.Fatalf("%q within %q except %q: %q, want %q", prefix, within, except, got, want)
		}
	}
}

// work is how much one listing does, told by how often it takes memory: each name that is opened takes some.
func work(t testing.TB, e *Engine, req *protocol.Request) (allocations float64, resp *protocol.Response) {
	t.Helper()
	req.Id = protocol.NewID()
	n := testing.AllocsPerRun(5, func() {
		var err error
		if resp, err = e.Handle(context.Background(), req); err != nil {
			t.Fatal(err)
		}
	})
	return n, resp
}

// filled has a client "hidden" with records and values that nobody in these tests may see.
func filled(t testing.TB, records int) *Engine {
	t.Helper()
	e, _ := opened(t)
	resp := new(protocol.Response)
	err := e.change(new(protocol.Request), resp, func(tx *vault.Tx) error {
		for i := range records {
			p := vault.At([]byte("hidden"), fmt.Appendf(nil, "vault %d", i%3), fmt.Appendf(nil, "record %d", i))
			if _, err := tx.Put(p, vault.Value{Kind: vault.Data, Secret: []byte("secret")}, false); err != nil {
				return err
			}
			if err := tx.PutItem(p, fmt.Appendf(nil, "key %d", i), []byte("v"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: e.state.DB.Sequence() + 1})
	for _, path := range []string{"a/keys/main", "z/keys/main", "z/keys/open-1"} {
		do(t, e, generate(t, path))
	}
	return e
}

// TestListWork: a listing costs what it shows. What is hidden by rules that say so by clients and vaults costs
// nothing; what has to be looked at to know is bounded for each page; and a page that shows nothing costs the same
// whether there is much, little or nothing at all.
func TestListWork(t *testing.T) {
	const much = 20_000
	e := filled(t, much)
	few := filled(t, 3)
	list := func(below string, within, except []string) *protocol.Request {
		return &protocol.Request{Operation: "record.list", Location: at(t, below), Reach: reachesOf(t, within), Except: reachesOf(t, except)}
	}
	// Shown records: as much work beside many that are hidden as beside few.
	for name, req := range map[string]*protocol.Request{
		"names":                   list("", []string{"z/keys/main", "hidden/keys/main", "hidden/vault 1/none"}, nil),
		"a vault":                 list("", []string{"z/keys", "hidden/none"}, nil),
		"a vault of every client": list("", []string{"*/keys"}, nil),
		"a name in every vault":   list("", []string{"*/*/main"}, nil),
		"a denied client":         list("", nil, []string{"hidden"}),
		"denied clients":          list("", []string{"*"}, []string{"hid*"}),
		"denied vaults":           list("", nil, []string{"hidden/vault*"}),
		"versions":                list("", []string{"z", "hidden/none/@*", "hidden/vault 1/@3"}, nil),
	} {
		many, resp := work(t, e, req)
		some, _ := work(t, few, req)
		if len(resp.Entries) == 0 || many > some+20 {
			t.Errorf("%s: %d shown, %v allocations beside many, %v beside few", name, len(resp.Entries), many, some)
		}
	}
	// Nothing to show: the same work and answer beside many, few and none.
	for name, rules := range map[string][2][]string{
		"a glob": {{"CLIENT/vault 1/open-*"}}, "a glob of vaults": {{"CLIENT/v*/open-*"}}, "globs of all": {{"C*/v*/open-*", "CLIENT/*/open-*"}},
		"what is denied": {{"CLIENT"}, {"CLIENT/*/rec*"}}, "a name": {{"CLIENT/*/open"}}, "versions": {{"CLIENT/*/@*"}},
	} {
		for _, below := range []string{"", "CLIENT", "CLIENT/vault 1"} {
			var first float64
			for i, tt := range []struct {
				e      *Engine
				client string
			}{{few, "absent"}, {few, "hidden"}, {e, "absent"}, {e, "hidden"}} {
				in := func(parts []string) (out []string) {
					for _, p := range parts {
						out = append(out, strings.ReplaceAll(strings.ReplaceAll(p, "CLIENT", tt.client), "C*", tt.client[:2]+"*"))
					}
					return out
				}
				n, resp := work(t, tt.e, list(strings.ReplaceAll(below, "CLIENT", tt.client), in(rules[0]), in(rules[1])))
				if i == 0 {
					first = n
				}
				if len(resp.Entries) != 0 || n < first*0.8 || n > first*1.25 {
					t.Errorf("%s below %q, %s of %d: %v allocations, %v where nothing is", name, below, tt.client, []int{3, 3, much, much}[i], n, first)
				}
			}
		}
	}
	// It goes on, and finds what is behind all that is hidden.
	got, pages := listAll(t, e, list("", []string{"*/*/open-*"}, nil))
	if most := much*17/vault.MaxLooks + 2; len(got) != 1 || pages < 2 || pages > most {
		t.Errorf("%d records on %d pages, want %d at most", len(got), pages, most)
	}
	keys := &protocol.Request{Operation: "store.list", Location: at(t, "hidden"), Reach: reachesOf(t, []string{"hidden/*9999"})}
	if got, pages := listAll(t, e, keys); len(got) != 2 || pages < much/vault.MaxLooks {
		t.Errorf("%q on %d pages", got, pages)
	}
	for _, client := range []string{"absent", "hidden"} { // found by its first letters, or looked up
		one := &protocol.Request{Operation: "store.list", Location: at(t, client), Reach: reachesOf(t, []string{client + "/key 17", client + "/open-*", client + "/key 199*"})}
		if many, resp := work(t, e, one); many > 1000 || client == "hidden" && len(resp.Entries) < 100 {
			t.Errorf("%d keys by %v allocations", len(resp.Entries), many)
		}
	}
}

// TestListLetsOthersThrough: a change is committed while a long listing goes on.
func TestListLetsOthersThrough(t *testing.T) {
	e := filled(t, 20_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			listAll(t, e, &protocol.Request{Operation: "record.list", Reach: reachesOf(t, []string{"*/*/open-*"})})
		}
	}()
	for i := 0; ; i++ {
		do(t, e, generate(t, fmt.Sprintf("other/keys/%d", i)))
		select {
		case <-done:
			if i < 20 {
				t.Errorf("%d changes meanwhile", i)
			}
			return
		default:
		}
	}
}

// BenchmarkHidden is a page of a listing that shows nothing of many, and one of hundred shown.
func BenchmarkHidden(b *testing.B) {
	e := filled(b, 20_000)
	for name, req := range map[string]*protocol.Request{
		"hidden": {Reach: reachesOf(b, []string{"hidden/*/open-*"})},
		"absent": {Reach: reachesOf(b, []string{"absent/*/open-*"})},
		"shown":  {Location: at(b, "hidden/vault 1")},
		"keys":   {Operation: "store.list", Location: at(b, "hidden")}, "thousand": {Limit: 1000},
	} {
		b.Run(name, func(b *testing.B) {
			if req.Id = protocol.NewID(); req.Operation == "" {
				req.Operation = "record.list"
			}
			for b.Loop() {
				e.Handle(context.Background(), req)
			}
		})
	}
}

package node

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

const listPolicy = `
[[allow]]
peers = ["a"]
ops   = ["list"]
on    = ["wallet/keys/*"]

[[deny]]
peers = ["*"]
ops   = ["list"]
on    = ["wallet/keys/hidden-*"]
`

// listed asks for all pages and returns what they showed, and how many there were.
func listed(t *testing.T, h protocol.Handler, prefix string, limit int) (entries []*protocol.Entry, pages int) {
	t.Helper()
	var after []byte
	for {
		req := &protocol.Request{Operation: "record.list", After: after, Limit: uint32(limit)}
		if prefix != "" {
			req.Location = location(t, prefix)
		}
		resp := do(t, h, req)
		if limit > 0 && len(resp.Entries) > limit {
			t.Fatalf("a page of %d has %d entries", limit, len(resp.Entries))
		}
		entries = append(entries, resp.Entries...)
		pages++
		if len(resp.Next) == 0 {
			return entries, pages
		}
		if bytes.Equal(resp.Next, after) {
			t.Fatal("the listing does not go on")
		}
		after = resp.Next
	}
}

// TestList: a peer sees what he may list, in its order, once. The engine is asked once for each page,
// and looks at so much for it and no more, however much is hidden: a page may be empty then and have a
// next one.
func TestList(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.setPolicy(t, listPolicy)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		var records, shown []string
		for i := range random.IntN(80) {
			kind := []string{"open", "hidden"}[random.IntN(2)]
			if round%4 == 0 && i > 5 {
				kind = "hidden" // a long tail that nobody may see
			}
			text := fmt.Sprintf("wallet/keys/%s-%02d", kind, i)
			records = append(records, text)
			if kind == "open" {
				shown = append(shown, text)
			}
		}
		bm.mu.Lock()
		bm.records = records
		bm.mu.Unlock()
		limit := 1 + random.IntN(6)
		before := bm.handled.Load()
		got, pages := listed(t, a.Remote("b"), "wallet/keys", limit)
		if want := strings.Join(shown, " "); names(got) != want {
			t.Fatalf("limit %d of %v: got %s, want %s", limit, records, names(got), want)
		}
		if asked := int(bm.handled.Load() - before); asked != pages {
			t.Fatalf("the engine was asked %d times for %d pages", asked, pages)
		}
		if most := len(shown)/limit + (len(records)-len(shown))/looksOfMemory + 1; pages > most {
			t.Fatalf("limit %d of %d, %d shown: %d pages, want %d at most", limit, len(records), len(shown), pages, most)
		}
	}
}

// TestListEntries: an entry holds its path and never its ids, and one without a
// path is not shown.
func TestListEntries(t *testing.T) {
	a, _, _, bm := pair(t)
	id := bytes.Repeat([]byte{7}, protocol.IDSize)
	n := uint64(3)
	keys := func(l *protocol.Location) *protocol.Location {
		l.Client, l.Vault = []byte("wallet"), []byte("keys")
		return l
	}
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		return &protocol.Response{Status: protocol.Status_OK, Entries: []*protocol.Entry{
			{Location: keys(&protocol.Location{Record: []byte("r"), ClientId: id, VaultId: id, RecordId: id}), Kind: "k", Hint: []byte("h"), CreatedMs: 1, ChangedMs: 2},
			{Location: keys(&protocol.Location{Version: &n, RecordId: id})},
			{Location: keys(&protocol.Location{RecordId: id})},
			{Location: &protocol.Location{ClientId: id, VaultId: id, RecordId: id}},
			{Location: keys(&protocol.Location{})},
			{},
		}}, nil
	})
	resp := do(t, a.Remote("b"), requestFor(t, operation(t, "record.list"), "wallet/keys/main"))
	want := &protocol.Response{Status: protocol.Status_OK, Entries: []*protocol.Entry{
		{Location: keys(&protocol.Location{Record: []byte("r")}), Kind: "k", Hint: []byte("h"), CreatedMs: 1, ChangedMs: 2},
		{Location: keys(&protocol.Location{Version: &n})},
	}}
	if !sameAnswer(resp, want) {
		t.Errorf("got %v", resp)
	}
}

// TestListFails: the engine's refusal is the answer.
func TestListFails(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		return protocol.Refuse(protocol.Status_LOCKED, ""), nil
	})
	resp, err := a.Remote("b").Handle(testContext(t), requestFor(t, operation(t, "record.list"), "wallet/keys/main"))
	if err != nil || resp.Status != protocol.Status_LOCKED || len(resp.Entries) > 0 {
		t.Errorf("%v, %v", resp, err)
	}
}

// TestListLooksWhereItMay: the engine is asked for what the policy lets the peer
// list, and for nothing if that is nowhere.
func TestListLooksWhereItMay(t *testing.T) {
	a, _, _, bm := pair(t)
	for name, tt := range map[string]struct {
		on, denied    string
		reach, except string
	}{
		"all":           {`"**"`, `"x/y/z"`, "all", "x/y/z"},
		"some":          {`"*/keys/main", "wallet/**"`, `"wallet/k*/*"`, "*/keys/main wallet", "wallet/k*"},
		"elsewhere":     {`"other/keys/*"`, `"**/a"`, "other/keys", "*/*/a"},
		"the head only": {`"other/keys/@head"`, `"x/y/z"`, "not asked", ""},
	} {
		bm.setPolicy(t, "[[allow]]\npeers = [\"a\"]\nops = [\"list\"]\non = ["+tt.on+"]\n[[deny]]\npeers = [\"a\"]\nops = [\"list\"]\non = ["+tt.denied+"]\n")
		reach, except := "not asked", ""
		text := func(parts []*protocol.Reach) string {
			var all []string
			for _, r := range parts {
				var path []string
				for _, s := range r.Path {
					switch {
					case s.Is != nil:
						path = append(path, string(s.Is))
					default:
						path = append(path, string(bytes.Join(s.Pieces, []byte("*"))))
						if s.Pieces == nil {
							path[len(path)-1] = "*"
						}
					}
				}
				if len(path) == 0 {
					path = []string{"all"}
				}
				all = append(all, strings.Join(path, "/"))
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		}
		bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
			reach, except = text(req.Reach), text(req.Except)
			return &protocol.Response{Status: protocol.Status_OK}, nil
		})
		if resp, err := a.Remote("b").Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "record.list"}); err != nil || resp.Status != protocol.Status_OK {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
		if reach != tt.reach || except != tt.except {
			t.Errorf("%s: looked at %s but %s, want %s but %s", name, reach, except, tt.reach, tt.except)
		}
	}
	for field, req := range map[string]*protocol.Request{"reach": {Reach: []*protocol.Reach{{}}}, "except": {Except: []*protocol.Reach{{}}}} {
		req.Id, req.Operation = protocol.NewID(), "record.list"
		if resp, err := a.Remote("b").Handle(testContext(t), req); err != nil || resp.Status != protocol.Status_INVALID || resp.Field != field {
			t.Errorf("a peer says where to look: %v, %v", resp, err)
		}
	}
}

// TestListHidesClients: a client that is hidden, one that is not loaded and one that does not exist are
// one answer, of one request to the engine, also with the hint of a record and for a vault. Who may list
// all of a client is told whether it is there.
func TestListHidesClients(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		switch string(req.Location.GetClient()) {
		case "":
			return &protocol.Response{Status: protocol.Status_OK, Unloaded: true}, nil
		case "hidden":
			return listRecords([]string{"hidden/keys/main"}, req), nil
		case "away":
			return protocol.Refuse(protocol.Status_NOT_LOADED, ""), nil
		}
		return protocol.Refuse(protocol.Status_NOT_FOUND, ""), nil
	})
	asked := 0
	ask := func(below, hint string) *protocol.Response {
		t.Helper()
		req := &protocol.Request{Id: protocol.NewID(), Operation: "record.list", Location: location(t, below), Hint: []byte(hint)}
		resp, err := a.Remote("b").Handle(testContext(t), req)
		if err != nil {
			t.Fatal(err)
		}
		asked++
		return resp
	}
	nothing := &protocol.Response{Status: protocol.Status_OK}
	for _, on := range []string{`"*/keys/open-*"`, `"*/other/*", "absent/keys/*", "away/keys/a", "hidden/keys/open-*"`} {
		bm.setPolicy(t, "[[allow]]\npeers = [\"a\"]\nops = [\"list\"]\non = ["+on+"]\n")
		for _, client := range []string{"hidden", "away", "absent"} {
			for _, below := range []string{client, client + "/keys"} {
				for _, hint := range []string{"", "hint"} {
					before := bm.handled.Load()
					if resp := ask(below, hint); !sameAnswer(resp, nothing) || bm.handled.Load() != before+1 {
						t.Errorf("with %s, %s: %v, the engine was asked %d times", on, below, resp, bm.handled.Load()-before)
					}
				}
			}
		}
		if resp := ask("", ""); !sameAnswer(resp, nothing) {
			t.Errorf("with %s, of all: %v", on, resp)
		}
	}
	bm.setPolicy(t, "[[allow]]\npeers = [\"a\"]\nops = [\"list\"]\non = [\"**\"]\n")
	for client, want := range map[string]protocol.Status{"away": protocol.Status_NOT_LOADED, "absent": protocol.Status_NOT_FOUND} {
		if resp := ask(client, ""); resp.Status != want {
			t.Errorf("who may list all of %s: %v", client, resp)
		}
	}
	if resp := ask("", ""); !resp.Unloaded {
		t.Error("who may list everything is not told that there is more")
	}
}

// TestCursors: a cursor is good for the peer and the listing that it was given for. Any other is
// refused by the same answer before the engine is asked, whatever there is. It does not tell where it is, nor
// whether it is where another one was.
func TestCursors(t *testing.T) {
	a, b, _, bm := pair(t)
	c := newNode(t, newMemory(t))
	addPeer(t, c, "b", b)
	addPeer(t, b, "c", c)
	bm.setPolicy(t, `
[[allow]]
peers = ["a", "c"]
ops   = ["list", "store-read"]
on    = ["**"]
`)
	var records []string
	for i := range 30 {
		records = append(records, fmt.Sprintf("wallet/keys/%02d", i))
	}
	bm.mu.Lock()
	bm.records = records
	bm.mu.Unlock()
	ask := func(n *Node, change func(*protocol.Request)) *protocol.Response {
		t.Helper()
		req := &protocol.Request{Id: protocol.NewID(), Operation: "record.list", Location: location(t, "wallet"), Limit: 4}
		change(req)
		resp, err := n.Remote("b").Handle(testContext(t), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	none := func(*protocol.Request) {}
	next := ask(a, none).Next
	if again := ask(a, none).Next; bytes.Equal(again, next) || len(again) != len(next) || len(next) == 0 {
		t.Errorf("cursors of one place: %x and %x", next, again)
	}
	other := ask(a, func(r *protocol.Request) { r.Limit = 29 })
	if len(other.Next) != len(next) {
		t.Error("a cursor's length tells of its place")
	}
	after := func(r *protocol.Request) { r.After = next }
	if resp := ask(a, func(r *protocol.Request) { after(r); r.Limit = 1 }); len(resp.Entries) != 1 || resp.Entries[0].Location.Text() != records[4] {
		t.Errorf("with another limit: %v", resp)
	}
	changed := bytes.Clone(next)
	changed[len(changed)/2] ^= 1
	for name, tt := range map[string]struct {
		n      *Node
		change func(*protocol.Request)
	}{
		"another peer's":   {c, after},
		"of another place": {a, func(r *protocol.Request) { after(r); r.Location = location(t, "wallet/keys") }},
		"of all":           {a, func(r *protocol.Request) { after(r); r.Location = nil }},
		"of none":          {a, func(r *protocol.Request) { after(r); r.Location = location(t, "nowhere") }},
		"with a hint":      {a, func(r *protocol.Request) { after(r); r.Hint = []byte("h") }},
		"of a store":       {a, func(r *protocol.Request) { after(r); r.Operation = "store.list" }},
		"changed":          {a, func(r *protocol.Request) { r.After = changed }},
		"cut":              {a, func(r *protocol.Request) { r.After = next[:len(next)-1] }},
		"the engine's":     {a, func(r *protocol.Request) { r.After = cursorOf(3) }},
		"made up":          {a, func(r *protocol.Request) { r.After = make([]byte, 72) }},
		"made up, of none": {a, func(r *protocol.Request) { r.After = make([]byte, 72); r.Location = location(t, "nowhere") }},
	} {
		before := bm.handled.Load()
		resp := ask(tt.n, tt.change)
		if resp.Status != protocol.Status_INVALID || resp.Field != "after" || bm.handled.Load() != before {
			t.Errorf("%s: %v", name, resp)
		}
	}
}

// TestListingsAtOnce: few listings of one peer are worked on at once, since they are heavy. The
// others wait, and nothing else of his waits for them.
func TestListingsAtOnce(t *testing.T) {
	a, _, _, bm := pair(t)
	few := 2 * runtime.GOMAXPROCS(0) // turns, if nobody else is there
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		if req.Operation == "record.list" {
			arrived <- struct{}{}
			<-release
		}
		return &protocol.Response{Status: protocol.Status_OK}, nil
	})
	let := sync.OnceFunc(func() { close(release) })
	defer let()
	answered := make(chan error, 10*few)
	for range cap(answered) {
		go func() {
			_, err := a.Remote("b").Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "record.list"})
			answered <- err
		}()
	}
	wait(t, "a listing", arrived)
	do(t, a.Remote("b"), sign(t)) // all that were sent before are waiting by now
	if n := 1 + len(arrived); n > few {
		t.Errorf("%d listings at once", n)
	}
	let()
	for range cap(answered) {
		if err := wait(t, "an answer", answered); err != nil {
			t.Error(err)
		}
	}
}

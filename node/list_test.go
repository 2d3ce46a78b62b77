package node

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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

// listed asks for all pages and returns what they showed, and their cursors.
func listed(t *testing.T, h protocol.Handler, prefix string, limit int) (entries []*protocol.Entry, cursors [][]byte) {
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
		if len(resp.Next) == 0 {
			return entries, cursors
		}
		if bytes.Equal(resp.Next, after) || len(resp.Entries) == 0 {
			t.Fatal("the listing does not go on")
		}
		cursors = append(cursors, resp.Next)
		after = resp.Next
	}
}

// TestList: a peer sees what he may list, in its order, in pages that are full,
// and nothing else shows: not by a cursor, not by a page that is short, not by
// a last page that is empty.
func TestList(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.setPolicy(t, listPolicy)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		var records, shown []string
		for i := range random.IntN(40) {
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
		if len(shown) == 0 { // there is nothing for him: not even a client
			resp, err := a.Remote("b").Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "record.list", Location: location(t, "wallet/keys"), Limit: uint32(limit)})
			if err != nil || !sameAnswer(resp, &protocol.Response{Status: protocol.Status_NOT_FOUND}) {
				t.Fatalf("with %v: %v, %v", records, resp, err)
			}
			continue
		}
		got, cursors := listed(t, a.Remote("b"), "wallet/keys", limit)
		if want := strings.Join(shown, " "); names(got) != want {
			t.Fatalf("limit %d of %v: got %s, want %s", limit, records, names(got), want)
		}
		if want := max(0, (len(shown)-1)/limit); len(cursors) != want {
			t.Fatalf("limit %d, %d shown: %d cursors, want %d", limit, len(shown), len(cursors), want)
		}
		for i, cursor := range cursors {
			last := shown[(i+1)*limit-1]
			if want := cursorOf(slices.Index(records, last)); !bytes.Equal(cursor, want) {
				t.Fatalf("cursor %d is %s, that of %s would be %s", i, cursor, last, want)
			}
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

// TestListChanges: a record goes between the question and the cursor's.
func TestListChanges(t *testing.T) {
	a, _, _, bm := pair(t)
	calls := 0
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		calls++
		records := []string{"wallet/keys/a", "wallet/keys/b", "wallet/keys/c", "wallet/keys/d"}
		return listRecords(records[min(calls-1, 1):], req), nil
	})
	req := requestFor(t, operation(t, "record.list"), "wallet/keys/main")
	req.Limit = 2
	resp, err := a.Remote("b").Handle(testContext(t), req)
	if err != nil || resp.Status != protocol.Status_UNAVAILABLE || len(resp.Entries) > 0 {
		t.Errorf("got %v, %v", resp, err)
	}
}

// TestListFails: the engine's refusal is the answer, on whichever page it comes.
func TestListFails(t *testing.T) {
	a, _, _, bm := pair(t)
	for _, good := range []int{0, 1, 2} {
		calls := 0
		bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
			if calls++; calls > good {
				return protocol.Refuse(protocol.Status_LOCKED, ""), nil
			}
			if calls == 1 && good == 2 {
				req.Limit = 1
			}
			return listRecords([]string{"wallet/keys/a", "wallet/keys/b", "wallet/keys/c"}, req), nil
		})
		req := requestFor(t, operation(t, "record.list"), "wallet/keys/main")
		req.Limit = 1
		resp, err := a.Remote("b").Handle(testContext(t), req)
		if err != nil || resp.Status != protocol.Status_LOCKED || len(resp.Entries) > 0 {
			t.Errorf("after %d good pages: %v, %v", good, resp, err)
		}
	}
}

// TestListLooksWhereItMay: the engine is asked for what the policy lets the peer
// list, and for nothing if that is nowhere.
func TestListLooksWhereItMay(t *testing.T) {
	a, _, _, bm := pair(t)
	for name, tt := range map[string]struct {
		on   string
		want string // places, "all", or "none"
	}{
		"all":             {`"**"`, "all"},
		"any client":      {`"*/keys/main", "wallet/keys/main"`, "all"},
		"some clients":    {`"w*/keys/*"`, "all"},
		"a client":        {`"wallet/**"`, "wallet"},
		"vaults":          {`"wallet/keys/*", "work/*/main", "wallet/more/a*"`, "wallet/keys wallet/more work"},
		"records":         {`"wallet/keys/main", "wallet/keys/second", "work/x/@7"`, "wallet/keys/main wallet/keys/second work/x"},
		"a record, twice": {`"wallet/keys/main", "wallet/**"`, "wallet"},
		"elsewhere only":  {`"other/keys/*"`, "other/keys"},
	} {
		bm.setPolicy(t, "[[allow]]\npeers = [\"a\"]\nops = [\"list\"]\non = ["+tt.on+"]\n")
		var got string
		bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
			got = "all"
			if len(req.Within) > 0 {
				var all []string
				for _, l := range req.Within {
					all = append(all, l.Text())
				}
				got = strings.Join(all, " ")
			}
			return &protocol.Response{Status: protocol.Status_OK}, nil
		})
		if resp, err := a.Remote("b").Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "record.list"}); err != nil || resp.Status != protocol.Status_OK {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
		if got != tt.want {
			t.Errorf("%s: looked at %s, want %s", name, got, tt.want)
		}
	}
	req := &protocol.Request{Id: protocol.NewID(), Operation: "record.list", Within: []*protocol.Location{location(t, "wallet")}}
	if resp, err := a.Remote("b").Handle(testContext(t), req); err != nil || resp.Status != protocol.Status_INVALID || resp.Field != "within" {
		t.Errorf("a peer says where to look: %v, %v", resp, err)
	}
}

// TestListHidesClients: a client in which a peer may see nothing looks like one
// that does not exist; in one where he may, a vault that is hidden looks empty.
func TestListHidesClients(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.setPolicy(t, `
[[allow]]
peers = ["a"]
ops   = ["list"]
on    = ["wallet/keys/*", "wallet/other/*", "hidden/keys/open-*"]
`)
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		var in []string
		for _, text := range []string{"wallet/keys/main", "wallet/secret/main", "hidden/keys/main"} {
			if loc := req.Location.Text(); loc == "" || strings.HasPrefix(text+"/", loc+"/") {
				in = append(in, text)
			}
		}
		switch string(req.Location.GetClient()) {
		case "", "wallet", "hidden":
			return listRecords(in, req), nil
		}
		return protocol.Refuse(protocol.Status_NOT_FOUND, ""), nil
	})
	ask := func(below string, hint string) *protocol.Response {
		t.Helper()
		req := &protocol.Request{Id: protocol.NewID(), Operation: "record.list", Location: location(t, below), Hint: []byte(hint)}
		resp, err := a.Remote("b").Handle(testContext(t), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for below, want := range map[string]protocol.Status{"wallet": protocol.Status_OK, "wallet/keys": protocol.Status_OK, "wallet/other": protocol.Status_OK,
		"hidden": protocol.Status_NOT_FOUND, "hidden/keys": protocol.Status_NOT_FOUND} {
		if resp := ask(below, ""); resp.Status != want {
			t.Errorf("%s: %v, want %v", below, resp, want)
		}
	}
	bm.setPolicy(t, "[[allow]]\npeers = [\"a\"]\nops = [\"list\"]\non = [\"absent/keys/*\", \"hidden/keys/open-*\"]\n")
	for _, below := range []string{"hidden", "hidden/keys"} {
		there, absent := ask(below, "hint"), ask(strings.Replace(below, "hidden", "absent", 1), "hint")
		if !sameAnswer(there, absent) || there.Status != protocol.Status_NOT_FOUND {
			t.Errorf("what is hidden gives %v, what is absent %v", there, absent)
		}
	}
}

package engine

import (
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// TestExpiredLeavesMemory: nobody has to ask for it, and while nothing expires
// there is no timer.
func TestExpiredLeavesMemory(t *testing.T) {
	e, _ := opened(t)
	timer := func() bool {
		e.expiring.Lock()
		defer e.expiring.Unlock()
		return e.expiry != nil
	}
	put := func(key string, ttl uint64, session bool) {
		t.Helper()
		do(t, e, &protocol.Request{Operation: "store.put", Location: at(t, "c/"+key), Value: []byte("value"), TtlMs: ttl, Session: session})
	}
	held := func() int {
		c, _, err := e.state.DB.Clients(vault.ID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := e.session.Clients(vault.ID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range append(c, s...) {
			n += c.Values
		}
		return n
	}
	put("stays", 0, false)
	put("stays", 0, true)
	if timer() {
		t.Error("there is a timer, and nothing expires")
	}
	put("later", 1<<30, false)
	if !timer() {
		t.Error("there is no timer")
	}
	put("soon", 1, false)
	put("soon", 1, true)
	put("not so soon", 30, false)
	for deadline := time.Now().Add(time.Minute); held() != 3; {
		if time.Now().After(deadline) {
			t.Fatalf("%d values are held, want 3", held())
		}
		time.Sleep(time.Millisecond)
	}
	if !timer() {
		t.Error("there is no timer for what expires later")
	}
	do(t, e, &protocol.Request{Operation: "store.remove", Location: at(t, "c/later")})
	e.expiring.Lock()
	e.expiry.Stop()
	e.expiring.Unlock()
	e.sweep() // as if it had come
	if timer() {
		t.Error("there is a timer, and nothing expires any more")
	}
}

// TestClientsInTheJournal: clients that were made and purged are so for who reads the file.
func TestClientsInTheJournal(t *testing.T) {
	e, file := opened(t)
	add := func(req *protocol.Request) {
		t.Helper()
		file = append(file, inBatch(do(t, e, req).Change.GetEntry())...)
	}
	for _, name := range []string{"empty", "purged", "again"} {
		add(&protocol.Request{Operation: "client.create", Location: at(t, name)})
	}
	for _, name := range []string{"purged", "again"} {
		add(generate(t, name+"/keys/main"))
		add(&protocol.Request{Operation: "store.put", Location: at(t, name+"/key"), Value: []byte("value"), TtlMs: 1 << 30})
		add(&protocol.Request{Operation: "client.purge", Location: at(t, name)})
	}
	add(generate(t, "again/keys/other"))
	resp := ok(t, e, &protocol.Request{Operation: "client.list"})
	other := newEngine(t)
	want(t, bring(t, other, file, passphrase, PartSize), protocol.Status_OK)
	for what, e := range map[string]*Engine{"before": e, "from the journal": other} {
		held := map[string]uint64{}
		for _, c := range ok(t, e, &protocol.Request{Operation: "client.list"}).Clients {
			held[c.Location.Text()] = c.Records*10 + c.Values
		}
		if len(held) != 2 || held["again"] != 10 || held["empty"] != 0 {
			t.Errorf("%s: %v", what, held)
		}
		want(t, ask(t, e, &protocol.Request{Operation: "record.list", Location: at(t, "purged")}), protocol.Status_NOT_FOUND)
		if got := paths(t, e); len(got) != 1 || got[0] != "again/keys/other" {
			t.Errorf("%s: %q", what, got)
		}
	}
	if len(resp.Clients) != 2 {
		t.Errorf("listed %v", resp.Clients)
	}
}

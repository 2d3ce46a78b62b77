package node

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/stronghold-go/stronghold/protocol"
)

// Whoever brings whichever cursor for whatever: it is good for the peer and the listing that
// it was given for, as it was given, and for nothing else.
func TestCursorsModel(t *testing.T) {
	type given struct {
		id     string
		req    *protocol.Request
		cursor []byte
		next   string
	}
	steps, failed := 0, 0
	defer func() {
		if t.Failed() {
			t.Logf("found after %d steps", failed)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		ended := false
		defer func() {
			if !ended && failed == 0 {
				failed = steps
			}
		}()
		c := newCursors()
		var all []given
		draw := func(t *rapid.T) (string, *protocol.Request) {
			id := rapid.SampledFrom([]string{"a", "b", "ab"}).Draw(t, "peer")
			req := &protocol.Request{Operation: rapid.SampledFrom([]string{"record.list", "store.list"}).Draw(t, "operation")}
			if client := rapid.SampledFrom([]string{"", "b", "c"}).Draw(t, "client"); client != "" {
				req.Location = &protocol.Location{Client: []byte(client)}
			}
			if req.Operation == "record.list" {
				req.Hint = []byte(rapid.SampledFrom([]string{"", "b"}).Draw(t, "hint"))
			} else {
				req.Prefix = []byte(rapid.SampledFrom([]string{"", "b"}).Draw(t, "prefix"))
				req.Session = rapid.Bool().Draw(t, "session")
			}
			return id, req
		}
		t.Repeat(map[string]func(*rapid.T){
			"give": func(t *rapid.T) {
				steps++
				id, req := draw(t)
				next := rapid.StringN(1, 20, cursorRoom-2).Draw(t, "next")
				cursor, err := c.seal(id, req, []byte(next))
				if err != nil || len(cursor) == 0 {
					t.Fatal(len(cursor), err)
				}
				all = append(all, given{id, req, cursor, next})
			},
			"bring": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				steps++
				g := rapid.SampledFrom(all).Draw(t, "cursor")
				id, req := draw(t)
				if rapid.Bool().Draw(t, "for the same") {
					req = proto.CloneOf(g.req)
				}
				req.Limit = rapid.Uint32Range(0, 100).Draw(t, "limit") // as he likes
				good := id == g.id && req.Operation == g.req.Operation && proto.Equal(req.Location, g.req.Location) &&
					bytes.Equal(req.Hint, g.req.Hint) && bytes.Equal(req.Prefix, g.req.Prefix) && req.Session == g.req.Session
				req.After = bytes.Clone(g.cursor)
				switch i := rapid.IntRange(0, len(req.After)-1).Draw(t, "where"); rapid.IntRange(0, 4).Draw(t, "how") {
				case 0:
					req.After[i] ^= 1
					good = false
				case 1:
					req.After = req.After[:max(1, i)]
					good = false
				}
				after, ok := c.open(id, req)
				if ok != good || ok && string(after) != g.next {
					t.Fatalf("good for it: %t; taken: %t, for %q", good, ok, after)
				}
			},
		})
		ended = true
	})
}

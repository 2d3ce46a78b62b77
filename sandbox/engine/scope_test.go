package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestListWithin compares a listing that is kept to some places with one of
// everything that is filtered by the text of the paths, for all page sizes.
func TestListWithin(t *testing.T) {
	e, _ := opened(t)
	random := rand.New(rand.NewPCG(3, 4))
	var places []string
	for _, c := range []string{"a", "b", "c"} {
		places = append(places, c)
		for _, v := range []string{"v", "w"} {
			places = append(places, c+"/"+v)
			for r := range 4 {
				text := fmt.Sprintf("%s/%s/%d", c, v, r)
				places = append(places, text)
				if r == 3 {
					continue // this one is not there
				}
				req := generate(t, text)
				if r == 1 {
					req.Hint = []byte("hint")
				}
				do(t, e, req)
			}
		}
	}
	do(t, e, generate(t, "a/v/@head"))
	do(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "b/w/2")})
	places = append(places, "nobody", "a/nowhere", "a/v/@0")
	in := func(record, place string) bool { return place == "" || strings.HasPrefix(record+"/", place+"/") }
	list := func(below string, within []string, hint string, limit uint32) (all []string) {
		t.Helper()
		req := &protocol.Request{Operation: "record.list", Location: at(t, below), Hint: []byte(hint), Limit: limit}
		for _, w := range within {
			req.Within = append(req.Within, at(t, w))
		}
		for {
			resp := ok(t, e, req)
			if limit > 0 && len(resp.Entries) > int(limit) {
				t.Fatalf("a page of %d has %d", limit, len(resp.Entries))
			}
			for _, entry := range resp.Entries {
				all = append(all, entry.Location.Text())
			}
			if len(resp.Next) == 0 {
				return all
			}
			if len(resp.Entries) != int(limit) {
				t.Fatalf("a page of %d has %d and is not the last", limit, len(resp.Entries))
			}
			req.Id, req.After = nil, resp.Next
		}
	}
	for range 300 {
		var within []string
		for range 1 + random.IntN(6) {
			within = append(within, places[random.IntN(len(places))])
		}
		below := []string{"", "", "a", "b", "b/w", "a/v"}[random.IntN(6)]
		hint := []string{"", "", "hint"}[random.IntN(3)]
		var want []string
		for _, record := range list(below, nil, hint, 100) {
			if slices.ContainsFunc(within, func(w string) bool { return in(record, w) }) {
				want = append(want, record)
			}
		}
		if got := list(below, within, hint, uint32(1+random.IntN(5))); !slices.Equal(got, want) {
			t.Fatalf("below %q within %q with %q: %q, want %q", below, within, hint, got, want)
		}
	}
}

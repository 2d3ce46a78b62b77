package vault

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// list is DB.List of any hint.
func list(db *DB, client, vault *ID, after Cursor, limit int) ([]Listed, bool, error) {
	page, err := db.List(&Query{Client: client, Vault: vault, After: after, Limit: limit})
	if err != nil {
		return nil, false, err
	}
	return page.Records, page.More, nil
}

// path is where a listing says that a record lies.
func path(p Place) string {
	if p.Counter {
		return fmt.Sprintf("%s/%s/@%d", p.ClientName, p.VaultName, p.Number)
	}
	return fmt.Sprintf("%s/%s/%s", p.ClientName, p.VaultName, p.RecordName)
}

// pages lists everything, limit entries at a time.
func pages(t *testing.T, db *DB, client, vault *ID, after Cursor, limit int) (all []string) {
	t.Helper()
	for {
		page, more, err := list(db, client, vault, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit || more && len(page) != limit {
			t.Fatalf("a page of %d entries, more: %v, limit %d", len(page), more, limit)
		}
		for _, l := range page {
			all = append(all, path(l.Place))
			if l.Record.ID != l.Place.Record || l.Record.Revoked {
				t.Fatalf("listed %+v", l)
			}
		}
		if !more {
			return all
		}
		last := page[len(page)-1].Place
		after = Cursor{last.Client, last.Vault, last.Record}
	}
}

func TestListPages(t *testing.T) {
	db := newDB(t)
	var places []Place
	for _, c := range []string{"a", "b", "c"} {
		for _, v := range []string{"x", "y", "z"} {
			for _, r := range []string{"1", "2", "3"} {
				if c+v == "by" {
					continue // b has no vault y
				}
				places = append(places, at(c+"/"+v+"/"+r))
			}
		}
	}
	for n := range uint64(3) {
		places = append(places, In([]byte("b"), []byte("x")).Version(n))
	}
	for _, p := range places {
		put(t, db, p, "secret")
	}
	// Some are gone, a whole vault too.
	gone := []string{"a/x/1", "c/z/1", "c/z/2", "c/z/3", "b/x/@1"}
	var sorted []Place
	for _, p := range places {
		if slices.Contains(gone, path(p)) {
			revoke(t, db, p)
		} else {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, func(a, b Place) int {
		for i := range 3 {
			x, y := [3]ID{a.Client, a.Vault, a.Record}[i], [3]ID{b.Client, b.Vault, b.Record}[i]
			if d := bytes.Compare(x[:], y[:]); d != 0 {
				return d
			}
		}
		return 0
	})
	below := func(match func(Place) bool) (paths []string) {
		for _, p := range sorted {
			if match(p) {
				paths = append(paths, path(p))
			}
		}
		return paths
	}

	everywhere := below(func(Place) bool { return true })
	b, x, y, none := ClientID([]byte("b")), VaultID([]byte("x")), VaultID([]byte("y")), ClientID([]byte("none"))
	for limit := 1; limit <= len(everywhere)+1; limit++ {
		for name, tt := range map[string]struct {
			client, vault *ID
			want          []string
		}{
			"all":                      {nil, nil, everywhere},
			"a client":                 {&b, nil, below(func(p Place) bool { return p.Client == b })},
			"a vault":                  {&b, &x, below(func(p Place) bool { return p.Client == b && p.Vault == x })},
			"a vault that is not":      {&b, &y, nil},
			"a client that is not":     {&none, nil, nil},
			"no such client nor vault": {&none, &y, nil},
		} {
			if got := pages(t, db, tt.client, tt.vault, Cursor{}, limit); !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d at a time: %q, want %q", name, limit, got, tt.want)
			}
		}
	}
	// A page may begin after any record, also after one that is gone by now.
	for i, p := range sorted {
		after := Cursor{p.Client, p.Vault, p.Record}
		if got := pages(t, db, nil, nil, after, 2); !slices.Equal(got, everywhere[i+1:]) {
			t.Errorf("after %s: %q, want %q", path(p), got, everywhere[i+1:])
		}
	}
	for _, p := range sorted {
		revoke(t, db, p)
		after := Cursor{p.Client, p.Vault, p.Record}
		everywhere = everywhere[1:]
		if got := pages(t, db, nil, nil, after, 2); !slices.Equal(got, everywhere) {
			t.Errorf("after %s, which is gone: %q, want %q", path(p), got, everywhere)
		}
	}
}

// TestListGoesOn: however many rules there are, and however they are met, each page comes further,
// and all of them together show everything once.
func TestListGoesOn(t *testing.T) {
	db := newDB(t)
	var want []string
	for _, c := range []string{"a", "b"} {
		for _, v := range []string{"x", "y"} {
			for _, r := range []string{"1", "2", "3"} {
				put(t, db, at(c+"/"+v+"/"+r), "secret")
				want = append(want, c+"/"+v+"/"+r)
			}
		}
	}
	var within, except []Reach
	for i := range 1000 {
		none := fmt.Appendf(nil, "%d", 1000+i)
		if i >= 1000-len(want) {
			p := bytes.Split([]byte(want[i-1000+len(want)]), []byte("/"))
			within = append(within, Reach{{Path: p[0]}, {Path: p[1]}, {Path: p[2]}})
		} else {
			within = append(within, Reach{{Path: none}, {Path: none}, {Path: none}}, Reach{{}, {Path: none}}, Reach{{}, {}, {Path: none}})
		}
		except = append(except, Reach{{}, {}, {Path: none}})
	}
	slices.Sort(want)
	for _, q := range []Query{{Within: within, Except: except}, {Within: within}, {Except: except}} {
		var got []string
		pages := 0
		for more := true; more; pages++ {
			q.Limit = 1
			page, err := db.List(&q)
			if err != nil {
				t.Fatal(err)
			}
			if pages > 100 || page.More && page.Next == q.After {
				t.Fatal("it does not go on")
			}
			for _, l := range page.Records {
				got = append(got, path(l.Place))
			}
			q.After, more = page.Next, page.More
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%d pages: %q, want %q", pages, got, want)
		}
	}
}

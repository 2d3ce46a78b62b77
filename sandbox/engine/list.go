package engine

import (
	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

const defaultPage = 100

func limitOf(req *protocol.Request) int {
	if req.Limit == 0 {
		return defaultPage
	}
	return int(req.Limit)
}

// list lists records. What a client lists of which nothing is there costs as much as what one
// lists that is not there: that is looked at last.
func (e *Engine) list(req *protocol.Request) (*protocol.Response, error) {
	after, err := cursor(req.After)
	if err != nil {
		return nil, err
	}
	q := &vault.Query{Hint: req.Hint, Within: reaches(req.Reach), Except: reaches(req.Except), After: after, Limit: limitOf(req)}
	depth := req.Location.Depth()
	var in vault.Place
	if depth > 0 {
		in = place(req.Location)
		if err := e.state.DB.Learn(in); err != nil {
			return nil, err
		}
		if q.Client = &in.Client; depth > 1 {
			q.Vault = &in.Vault
		}
	}
	page, err := e.state.DB.List(q)
	if err != nil {
		return nil, err
	}
	if len(page.Records) == 0 {
		if err := e.hide(req, page.Left); err != nil {
			return nil, err
		}
	}
	switch {
	case depth > 0 && !e.state.DB.HasClient(in.Client):
		return nil, vault.ErrNotFound
	case depth > 0 && e.state.DB.IsAway(in.Client):
		return nil, vault.ErrNotLoaded
	}
	resp := &protocol.Response{Unloaded: depth == 0 && e.state.DB.Away() > 0}
	for _, l := range page.Records {
		resp.Entries = append(resp.Entries, entry(location(l.Place), l.Record))
	}
	if page.More {
		for _, id := range page.Next {
			resp.Next = append(resp.Next, id[:]...)
		}
	}
	return resp, nil
}

// hide has a listing that shows nothing take as long as if all that it may look at had been
// looked at in vain, if it hides something: the time does not tell that from nothing being there.
func (e *Engine) hide(req *protocol.Request, left int) error {
	if !hides(req) {
		return nil
	}
	return e.state.DB.Spend(left)
}

// hides says whether a listing looks at what it may have to hide. It does not
// where all that it is kept to is named, and found without a look at anything else.
func hides(req *protocol.Request) bool {
	if len(req.Except) > 0 {
		return true
	}
	for _, r := range req.Reach {
		for _, s := range r.Path {
			if s.Is == nil && s.Version == nil {
				return true
			}
		}
	}
	return false
}

// reaches are parts of all that is there, as the vault has them.
func reaches(parts []*protocol.Reach) []vault.Reach {
	if len(parts) == 0 {
		return nil
	}
	out := make([]vault.Reach, len(parts))
	for i, r := range parts {
		for _, s := range r.Path {
			out[i] = append(out[i], vault.Segment{Path: s.Is, Pieces: s.Pieces, Versions: s.Versions, Version: s.Version})
		}
	}
	return out
}

// keys are reaches for a client's store: of those that are about the client, what they say of keys.
// None is hidden if there is none of except, and all if there is none of within.
func keys(parts []*protocol.Reach, client *protocol.Location) []vault.Segment {
	out := []vault.Segment{}
	for _, r := range reaches(parts) {
		switch {
		case len(r) > 0 && !r[0].Meets(client.Client):
		case len(r) < 2:
			out = append(out, vault.Segment{})
		default:
			out = append(out, r[1])
		}
	}
	return out
}

// cursor reads a page's beginning.
func cursor(b []byte) (c vault.Cursor, err error) {
	if len(b) == 0 {
		return c, nil
	}
	if len(b) != 3*len(vault.ID{}) {
		return c, &procedures.InputError{Field: "after", Reason: "not a cursor"}
	}
	for i := range c {
		copy(c[i][:], b[i*len(vault.ID{}):])
	}
	return c, nil
}

// listKeys lists the keys of a client's store.
func (e *Engine) listKeys(req *protocol.Request) (*protocol.Response, error) {
	client := clientID(req.Location)
	q := &vault.ItemQuery{Prefix: req.Prefix, Except: keys(req.Except, req.Location), After: req.After, Limit: limitOf(req)}
	if len(req.Reach) > 0 {
		q.Within = keys(req.Reach, req.Location)
	}
	page, err := e.store(req).Items(client, q)
	if len(page.Items) == 0 {
		if err := e.hide(req, page.Left); err != nil {
			return nil, err
		}
	}
	if err != nil && !(req.Session && e.state.DB.HasClient(client)) { // else there is a client, and nothing in its session
		return nil, err
	}
	resp := new(protocol.Response)
	if resp.Entries, err = e.storeEntries(req.Location, page.Items...); err != nil {
		return nil, err
	}
	if page.More {
		resp.Next = page.Next
	}
	return resp, nil
}

package node

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

const defaultPage = 100 // entries, where the asker does not say

// list answers a listing for a peer: it shows what the policy lets him list,
// page by page, as if nothing else were there. The cursor of a page is that of
// the last entry shown, and there is one only if more will be shown; any other
// would tell of a record that is hidden.
func (n *Node) list(ctx context.Context, rules *permissions.Rules, id string, op *protocol.Operation, req *protocol.Request) *protocol.Response {
	want := int(req.Limit)
	if want == 0 {
		want = defaultPage
	}
	places, all := bounds(rules, id, op)
	ask := func(after []byte, limit int) *protocol.Response {
		if !all && len(places) == 0 {
			return &protocol.Response{Status: protocol.Status_OK}
		}
		page := proto.CloneOf(req)
		page.After, page.Limit = after, uint32(min(limit, protocol.MaxPage))
		if !all {
			page.Within = places
		}
		resp, err := n.local.Handle(ctx, page)
		return protocol.Answer(page, resp, err)
	}
	out := &protocol.Response{Status: protocol.Status_OK}
	var lastAfter []byte // where the page began that holds the last entry shown,
	var lastAt int       // which entry of that page it was,
	var last *protocol.Location
	for after, limit := req.After, want+1; ; limit = protocol.MaxPage {
		page := ask(after, limit)
		if page.Status != protocol.Status_OK {
			return page
		}
		for i, e := range page.Entries {
			shown := entryFor(rules, id, op, e)
			if shown == nil {
				continue
			}
			if len(out.Entries) < want {
				out.Entries = append(out.Entries, shown)
				lastAfter, lastAt, last = after, i, e.Location
				continue
			}
			// There is more to show. A page that ends with the last entry shown has its cursor.
			page = ask(lastAfter, lastAt+1)
			if page.Status != protocol.Status_OK {
				return page
			}
			if len(page.Entries) != lastAt+1 || !proto.Equal(page.Entries[lastAt].GetLocation(), last) {
				return protocol.Refuse(protocol.Status_UNAVAILABLE, "the records changed meanwhile: ask again")
			}
			out.Next = page.Next
			return out
		}
		if len(page.Next) == 0 {
			if len(out.Entries) == 0 && len(req.After) == 0 && !n.sees(ctx, rules, id, op, req) {
				return protocol.Refuse(protocol.Status_NOT_FOUND, "")
			}
			return out
		}
		after = page.Next
	}
}

// sees says whether there is a client for a peer who was shown nothing: whether he
// may see something in it, wherever that is. So a client that is hidden from him
// looks like one that does not exist.
func (n *Node) sees(ctx context.Context, rules *permissions.Rules, id string, op *protocol.Operation, req *protocol.Request) bool {
	if req.Location.Depth() == 0 {
		return true // above all clients
	}
	wider := &protocol.Request{Id: req.Id, Operation: req.Operation, Location: &protocol.Location{Client: req.Location.Client}, Limit: 1}
	if proto.Equal(wider.Location, req.Location) && len(req.Hint) == 0 && len(req.Prefix) == 0 && !req.Session {
		return false // that was all
	}
	return n.list(ctx, rules, id, op, wider).Status == protocol.Status_OK
}

// bounds are the places to look at for a listing of records; all, if there is no
// bound. The keys of a store are few beside records, and are all looked at.
func bounds(rules *permissions.Rules, id string, op *protocol.Operation) (places []*protocol.Location, all bool) {
	if i := slices.IndexFunc(op.In, func(f protocol.Field) bool { return f.Name == "within" }); i < 0 {
		return nil, true
	}
	return rules.Within(id, op, op.Accesses(&protocol.Request{})[0].Class)
}

// isListing says whether op tells what lies below a location. That a peer may
// ask so is no right to every answer.
func isListing(op *protocol.Operation) bool {
	return slices.ContainsFunc(op.Accesses(&protocol.Request{}), func(a protocol.Access) bool { return a.Prefix })
}

// entryFor is what a peer may see of an entry, nil if nothing: he needs the
// right that the listing takes, there. An entry that is known only by its id is
// not shown, since rules speak of paths.
func entryFor(rules *permissions.Rules, id string, op *protocol.Operation, e *protocol.Entry) *protocol.Entry {
	l := e.GetLocation()
	if l == nil || l.Client == nil || l.Vault == nil {
		return nil
	}
	path := &protocol.Location{Client: l.Client, Vault: l.Vault, Record: l.Record, Version: l.Version}
	accesses := op.Accesses(&protocol.Request{Location: path})
	for i := range accesses {
		accesses[i].Prefix = false
	}
	if !rules.Check(id, op, accesses).Allowed {
		return nil
	}
	return &protocol.Entry{Location: path, Kind: e.Kind, Flags: e.Flags, Hint: e.Hint, CreatedMs: e.CreatedMs, ChangedMs: e.ChangedMs, ExpiresMs: e.ExpiresMs, Version: e.Version}
}

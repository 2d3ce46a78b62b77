package node

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

// list answers a listing for a peer: it shows what the policy lets him list, as if
// nothing else were there. What that is goes with the request, so that the engine looks
// nowhere else; how much it looks at for one page is bounded, and the cursor goes on from there, wherever that
// is, so that it is sealed.
func (n *Node) list(ctx context.Context, rules *permissions.Rules, id string, op *protocol.Operation, req *protocol.Request) *protocol.Response {
	after, ok := n.cursors.open(id, req)
	if !ok {
		return protocol.Invalid("after", "not a cursor of this listing")
	}
	reach := rules.Reach(id, op)
	out := &protocol.Response{Status: protocol.Status_OK}
	if len(reach.Within) == 0 {
		return out
	}
	page := proto.CloneOf(req)
	page.After, page.Reach, page.Except = after, reach.Within, reach.Except
	resp, err := n.local.Handle(ctx, page)
	resp = protocol.Answer(page, resp, err)
	switch resp.Status {
	case protocol.Status_OK:
	case protocol.Status_NOT_FOUND, protocol.Status_NOT_LOADED:
		if !reach.Client(req.Location.GetClient()) {
			return out // he is told of what lies in it, not of the client
		}
		return resp
	default:
		return resp
	}
	for _, e := range resp.Entries {
		if shown := entryFor(rules, id, op, e); shown != nil {
			out.Entries = append(out.Entries, shown)
		}
	}
	out.Unloaded = resp.Unloaded && reach.Everything()
	if out.Next, err = n.cursors.seal(id, req, resp.Next); err != nil {
		return protocol.Answer(req, nil, err)
	}
	return out
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

package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stronghold-go/stronghold/protocol"
)

// service is the resource manager's name for what this package does.
const service = "stronghold"

// serve answers one stream of a peer, until it ends. libp2p calls it, in a
// goroutine of its own.
func (n *Node) serve(s network.Stream) {
	if !n.begin() {
		s.ResetWithError(network.StreamShutdown)
		return
	}
	defer n.running.Done()
	id := s.Conn().RemotePeer()
	if !n.known.Load().has(id) {
		s.ResetWithError(network.StreamGated)
		return
	}
	if err := s.Scope().SetService(service); err != nil {
		s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	a := n.enter(id)
	defer n.leave(a)
	alive := func() bool { return n.known.Load().has(id) && !s.Conn().IsClosed() }
	server := protocol.Server{
		Handle: func(ctx context.Context, req *protocol.Request) *protocol.Response {
			return n.answer(ctx, a, alive, req)
		},
		Door:         protocol.DoorPeer,
		InFlight:     n.limits.InFlight,
		FrameTimeout: n.limits.FrameTimeout,
		Grace:        n.grace,
		Admit: func(ctx context.Context, size int) (func(), error) {
			return a.admit(ctx, s.Scope(), size)
		},
		Room: func(ctx context.Context, size int) (func(), *protocol.Response) {
			return a.room(ctx, s.Scope(), size)
		},
	}
	if err := server.Serve(n.serving, farewell{s, n.serving}); err != nil {
		n.log.Debug("stream ended", "peer", id.String(), "error", err)
		s.ResetWithError(network.StreamProtocolViolation)
	}
}

// farewell closes a stream of a node that is about to hang up, and waits for the
// peer to close it too: a connection that ends with something unread in it
// takes the last answers along.
type farewell struct {
	network.Stream
	serving context.Context
}

// farewellTime is how long a peer may take to read its last answers.
const farewellTime = time.Second

func (s farewell) Close() error {
	if s.serving.Err() != nil && s.CloseWrite() == nil {
		s.SetReadDeadline(time.Now().Add(farewellTime))
		io.Copy(io.Discard, s.Stream)
	}
	return s.Stream.Close()
}

// answer decides on one request of a peer, and has it done. protocol.Check has
// seen the request: its operation exists and is one that a peer may ask. It waits for a
// turn until ctx ends, or alive says no; what has begun then is not given up, whoever
// leaves, since the zone goes on with it.
func (n *Node) answer(ctx context.Context, who *asker, alive func() bool, req *protocol.Request) (resp *protocol.Response) {
	defer func() {
		if v := recover(); v != nil {
			resp = n.panicked(req, v)
		}
	}()
	op, ok := protocol.Lookup(req.Operation)
	if !ok {
		return protocol.Refuse(protocol.Status_UNSUPPORTED, "")
	}
	if wait := who.tooFast(); wait > 0 {
		n.notices.refused(who.name, overLimit, req, "requests a second")
		return &protocol.Response{Status: protocol.Status_LIMITED, Detail: "too many requests a second; nothing was done",
			RetryAfterMs: uint32(wait.Milliseconds()) + 1}
	}
	turn, err := n.turns.take(ctx, who, alive, req)
	if err != nil {
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "its turn did not come in time; nothing was done")
	}
	defer turn.end()
	// The peer may have been removed, and the policy replaced, while it waited.
	if !n.known.Load().has(who.id) {
		return protocol.Refuse(protocol.Status_DENIED, "")
	}
	rules := n.local.Rules()
	if d := rules.Check(who.name, op, op.Accesses(req)); !d.Allowed {
		n.notices.refused(who.name, "request denied", req, d.Reason)
		return protocol.Refuse(protocol.Status_DENIED, "")
	}
	if turn.over > 0 {
		return &protocol.Response{Status: protocol.Status_LIMITED, Detail: "too much of this peer's waits already; nothing was done",
			RetryAfterMs: uint32(turn.over.Milliseconds()) + 1}
	}
	if isListing(op) {
		return outward(op, n.list(n.working, rules, who.name, op, req))
	}
	asGuest(req)
	answer, err := n.local.HandleFor(n.working, who.name, req, turn.end)
	resp = outwardSteps(req, outward(op, protocol.Answer(req, answer, err)))
	if resp.Status == protocol.Status_LIMITED || resp.Status == protocol.Status_NO_SPACE {
		n.notices.refused(who.name, overLimit, req, resp.Detail)
	}
	return resp
}

const overLimit = "request over a limit"

// asGuest has req do what a peer may do with it, and no more.
func asGuest(req *protocol.Request) {
	req.Untyped = req.Operation == "record.type"
	for _, step := range req.Steps {
		asGuest(step)
	}
}

// outwardSteps is outward for the results of a pipeline's steps.
func outwardSteps(req *protocol.Request, resp *protocol.Response) *protocol.Response {
	for i, result := range resp.Results {
		if i >= len(req.Steps) {
			return protocol.Refuse(protocol.Status_INTERNAL, "")
		}
		op, ok := protocol.Lookup(req.Steps[i].GetOperation())
		if !ok {
			return protocol.Refuse(protocol.Status_INTERNAL, "")
		}
		resp.Results[i] = outward(op, result)
	}
	return resp
}

// outward is what a peer may see of an answer: its row's fields, and the status.
func outward(op *protocol.Operation, resp *protocol.Response) *protocol.Response {
	out := &protocol.Response{Status: resp.Status, Field: resp.Field, Detail: resp.Detail, RetryAfterMs: resp.RetryAfterMs}
	if resp.Status != protocol.Status_OK {
		if resp.Status == protocol.Status_INTERNAL || resp.Status == protocol.Status_STATUS_UNSPECIFIED {
			return protocol.Refuse(protocol.Status_INTERNAL, "") // the operator finds why in the log
		}
		return out
	}
	from, to := resp.ProtoReflect(), out.ProtoReflect()
	for _, name := range op.Out {
		if f := from.Descriptor().Fields().ByName(protoreflect.Name(name)); f != nil && from.Has(f) {
			to.Set(f, from.Get(f))
		}
	}
	for i, e := range out.Entries {
		if e.Created != nil || e.Changed != nil { // by which device and change is not for a peer: he could count those of others
			out.Entries[i] = proto.CloneOf(e)
			out.Entries[i].Created, out.Entries[i].Changed = nil, nil
		}
	}
	return out
}

// panicked is the answer when handling req panicked. The log gets where, and
// what only if the runtime said it: another value may quote the request.
func (n *Node) panicked(req *protocol.Request, v any) *protocol.Response {
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		what = err.Error()
	}
	n.log.Error("request panicked", "operation", req.GetOperation(), "request_id", hex.EncodeToString(req.GetId()),
		"panic", what, "stack", string(debug.Stack()))
	return protocol.Refuse(protocol.Status_INTERNAL, "")
}

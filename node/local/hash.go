package local

import (
	"context"
	"errors"
	"slices"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// hash asks the zone for what takes a password hash. The zone makes a job of it,
// which another zone does, that is started for it and ends with it: the hash takes
// hundreds of megabytes and leaves traces of the password. It returns what to ask
// the zone next, or the answer if there is one already. An error means that
// nothing has come of it, and nothing will.
func (s *Stronghold) hash(ctx context.Context, zone *handle, req *protocol.Request) (next *protocol.Request, _ *protocol.Response, err error) {
	other, err := startZone(ctx, sandbox.Config{Name: zoneName, Workers: 1, Memory: hashMemory(req)})
	if err != nil {
		s.log.Error("zone for a password hash not started", "error", err)
		return nil, protocol.Refuse(protocol.Status_UNAVAILABLE, "the zone that hashes passwords does not start"), ctx.Err()
	}
	defer other.Close()
	key, err := call(ctx, other, &protocol.Request{Id: protocol.NewID(), Operation: "zone.key"})
	if err != nil {
		return nil, s.notHashed(other), ctx.Err()
	}
	req.HashKey = key.PublicKey
	resp, err := call(ctx, zone, req)
	req.HashKey = nil
	if err != nil || resp.Job == nil {
		return nil, resp, err
	}
	resp, err = call(ctx, other, &protocol.Request{Id: req.Id, Operation: "zone.hash", Job: resp.Job, Snapshot: resp.Snapshot})
	if err != nil {
		return nil, s.notHashed(other), ctx.Err()
	}
	if resp.Status != protocol.Status_OK {
		return nil, resp, nil
	}
	return &protocol.Request{Id: req.Id, Operation: "zone.hashed", Hashed: resp.Hashed}, nil, nil
}

// hashMemory is how much the zone that hashes for a request may use, in bytes: what
// scrypt fills with the highest cost that the request allows, and what it is given. The
// zone looks at the cost before it hashes; this holds whatever it overlooks.
func hashMemory(req *protocol.Request) uint64 {
	cost := uint64(defaultMaxCost)
	switch {
	case slices.Contains(renews, req.Operation), req.Operation == "snapshot.export":
		cost = maxMaxCost // of the file that is open: its own slots, and the new one, which is sealed
	case req.Cost != 0:
		cost = min(uint64(req.Cost), maxMaxCost)
	}
	return 1<<(cost+10) + givenMemory
}

const (
	defaultMaxCost = 20        // 1 GiB; of a request that does not say
	maxMaxCost     = 23        // 8 GiB; nothing is hashed that takes more at once
	givenMemory    = 256 << 20 // the file of another program and what is in it have 32 MiB each, and lie in it several times
)

// notHashed says why there is no password hash.
func (s *Stronghold) notHashed(other *handle) *protocol.Response {
	s.log.Error("zone for a password hash ended", "reason", other.Err())
	return protocol.Refuse(protocol.Status_UNAVAILABLE, "the zone that hashes the password has ended; is there memory enough?")
}

// hashed answers req with the help of a password hash, one at a time.
func (s *Stronghold) hashed(ctx context.Context, req *protocol.Request, op *protocol.Operation) (*protocol.Response, error) {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.RLock()
	zone, unlocked := s.zone, s.journal != nil
	s.mu.RUnlock()
	if !unlocked {
		return protocol.Refuse(protocol.Status_LOCKED, ""), nil
	}
	next, resp, err := s.hash(ctx, zone, req)
	switch {
	case errors.Is(err, sandbox.ErrEnded):
		return protocol.Refuse(protocol.Status_LOCKED, "the zone has ended; nothing was changed"), nil
	case err != nil || next == nil:
		return resp, err
	case op.Changes:
		return s.change(ctx, "", next, nil)
	}
	if slices.Contains(renews, op.Name) {
		// The zone has it ready for the next file, which is written now. A file that
		// does not come to be takes it along: then nothing was changed.
		return s.save(func() (*protocol.Response, error) { return s.ask(ctx, next) })
	}
	return s.ask(ctx, next)
}

// renews are the operations whose outcome is a file with other slots or another root key.
var renews = []string{"slot.add", "slot.remove", "snapshot.rekey"}

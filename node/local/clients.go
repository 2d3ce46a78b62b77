package local

import (
	"context"
	"errors"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// loadClient has the zone load a client from the snapshot, or all of them, and then give
// it another path if one is asked for, which is a change.
func (s *Stronghold) loadClient(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	load := &protocol.Request{Operation: "zone.load"}
	if req.Location != nil {
		load.Within = []*protocol.Location{req.Location}
	}
	resp, err := s.withFile(func(j *journal) (*protocol.Response, error) { return j.load(load) })
	if err != nil || resp.Status != protocol.Status_OK {
		return resp, err
	}
	return s.change(ctx, "", req, nil)
}

// unloadClient has the zone drop what a client holds.
func (s *Stronghold) unloadClient(req *protocol.Request) (*protocol.Response, error) {
	return s.withFile(func(j *journal) (resp *protocol.Response, err error) {
		// What is staged must not be of a client that is not there any more.
		err = j.atRest(func() (err error) {
			resp, err = j.call(req)
			return err
		})
		return resp, err
	})
}

// withFile does something while no fresh file takes the place of the present one.
func (s *Stronghold) withFile(do func(*journal) (*protocol.Response, error)) (*protocol.Response, error) {
	s.mu.RLock()
	j := s.journal
	s.mu.RUnlock()
	if j == nil {
		return protocol.Refuse(protocol.Status_LOCKED, ""), nil
	}
	j.files.Lock()
	defer j.files.Unlock()
	resp, err := do(j)
	if errors.Is(err, errLocking) || errors.Is(err, sandbox.ErrEnded) {
		return protocol.Refuse(protocol.Status_LOCKED, "it was locked meanwhile"), nil
	}
	return resp, err
}

// load gives the zone what it wants of the file. j.files is held.
func (j *journal) load(req *protocol.Request) (*protocol.Response, error) {
	for {
		resp, err := j.call(req)
		if err != nil || resp.Status != protocol.Status_OK || resp.Wanted == nil {
			return resp, err
		}
		part, err := readRange(j.file, resp.Wanted, j.end())
		if err != nil {
			j.log.Error("snapshot not read", "error", err)
			return protocol.Refuse(protocol.Status_INTERNAL, "the disk failed; nothing was loaded"), nil
		}
		req = &protocol.Request{Operation: "zone.load", More: true, Snapshot: part}
	}
}

package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

const (
	zoneName     = "engine" // what sandbox/engine/zone registers
	zoneTimeout  = 2 * time.Minute
	clockSlack   = time.Minute      // a clock that is behind by more is told of
	lockGrace    = 3 * time.Second  // changes under way may take this long when it is locked
	stableAfter  = time.Minute      // a zone that lived this long did not crash at its start
	longestPause = 30 * time.Second // between two starts of a zone that keeps ending
)

// handle is a zone, and what it is told with every request.
type handle struct {
	*sandbox.Zone
	durable atomic.Uint64 // changes up to this number are on the disk; 0 if it has committed all that are
	answers atomic.Uint64 // that it has given
	owed    atomic.Int64  // that must come
}

// call asks the zone. The error is sandbox.ErrEnded's when there is none.
func call(ctx context.Context, zone *handle, req *protocol.Request) (*protocol.Response, error) {
	if zone == nil {
		return nil, sandbox.ErrEnded
	}
	b, err := protocol.Marshal(req)
	if err != nil {
		return nil, err
	}
	ask := zone.Call
	if protocol.Cost(req) >= protocol.HeavyCost {
		ask = zone.CallLong
	}
	if b, err = ask(ctx, zone.told(b)); err == nil {
		zone.answers.Add(1)
	}
	return decode(b, err)
}

// must asks the zone for an answer that must come: see [sandbox.Zone.CallOn]. It is
// waited for until the zone ends, which it does when it is stuck.
func (zone *handle) must(ctx context.Context, b []byte, long bool) ([]byte, func() ([]byte, error), error) {
	zone.owed.Add(1)
	answer, wait, err := zone.CallOn(ctx, zone.told(b), long)
	if wait == nil {
		zone.paid()
		return answer, nil, err
	}
	return nil, func() ([]byte, error) {
		defer zone.paid()
		return wait()
	}, err
}

func (zone *handle) paid() {
	zone.answers.Add(1)
	zone.owed.Add(-1)
}

// A quiet is a zone from which an answer must come, and none does, neither that nor another.
type quiet struct {
	answers uint64
	looks   int
}

const stuckLooks = 8 // in zoneTimeout

// look says whether the zone is stuck.
func (q *quiet) look(zone *handle) bool {
	answers := zone.answers.Load()
	if zone.owed.Load() == 0 || answers != q.answers {
		*q = quiet{answers: answers}
		return false
	}
	q.looks++
	return q.looks > stuckLooks
}

// oversee ends a zone that is stuck. However long its work is, as long as it answers
// anything it is not: a timer for each answer would end one that has much to do.
func (s *Stronghold) oversee(zone *handle) {
	tick := time.NewTicker(zoneTimeout / stuckLooks)
	defer tick.Stop()
	for q := new(quiet); ; {
		select {
		case <-tick.C:
		case <-zone.Done():
			return
		}
		if q.look(zone) {
			s.log.Error("zone does not answer; ending it")
			zone.Close()
			return
		}
	}
}

// told is b, with what the zone is told besides.
func (zone *handle) told(b []byte) []byte {
	if seq := zone.durable.Load(); seq != 0 {
		b = protocol.AppendDurable(b, seq)
	}
	return b
}

// decode reads what the zone has answered.
func decode(b []byte, err error) (*protocol.Response, error) {
	if err != nil {
		return nil, err
	}
	resp := new(protocol.Response)
	if err := protocol.UnmarshalOwned(b, resp); err != nil {
		return nil, fmt.Errorf("local: the zone's answer: %w", err)
	}
	return resp, nil
}

func (s *Stronghold) startZone(ctx context.Context) (*handle, error) {
	return startZone(ctx, sandbox.Config{Name: cmp.Or(s.zoneName, zoneName), Workers: s.workers})
}

func startZone(ctx context.Context, cfg sandbox.Config) (*handle, error) {
	zone, err := sandbox.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &handle{Zone: zone}, nil
}

// setZone makes zone the one that is asked, and watches it. s.mu is held, or s
// is not shared yet.
func (s *Stronghold) setZone(zone *handle) {
	s.zone = zone
	if zone != nil {
		started := time.Now()
		s.running.Go(func() { s.watch(zone, started) })
		s.running.Go(func() { s.oversee(zone) })
	}
}

// watch waits for a zone to end. If nobody wanted it to, the home is locked and
// a new zone is started, at once after a long life, later and later after short ones.
func (s *Stronghold) watch(zone *handle, started time.Time) {
	<-zone.Done()
	s.mu.Lock()
	if s.closed || s.zone != zone { // it was ended by lockUp
		s.mu.Unlock()
		return
	}
	s.ended = zone.Err().Error()
	s.log.Error("zone ended", "reason", s.ended)
	s.zone = nil
	s.dropJournal()
	s.mu.Unlock()
	zone.Close()
	s.revive(time.Since(started))
}

// revive starts a new zone after one that lived this long.
func (s *Stronghold) revive(lived time.Duration) {
	s.mu.Lock()
	if lived > stableAfter {
		s.deaths = 0
	}
	pause := min(longestPause, time.Duration(s.deaths*s.deaths)*100*time.Millisecond)
	s.deaths++
	s.mu.Unlock()
	select {
	case <-time.After(pause):
	case <-s.stop:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), zoneTimeout)
	defer cancel()
	zone, err := s.startZone(ctx)
	if err != nil {
		s.log.Error("zone not started", "error", err)
		s.running.Go(func() { s.revive(0) })
		return
	}
	s.mu.Lock()
	if s.closed || s.zone != nil {
		s.mu.Unlock()
		zone.Close()
		return
	}
	s.setZone(zone)
	s.mu.Unlock()
}

// lock drops every secret: the zone ends, and a new one takes its place.
func (s *Stronghold) lock(ctx context.Context) (*protocol.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "the node is stopping"), nil
	}
	s.renewZone()
	return &protocol.Response{Status: protocol.Status_OK}, nil
}

// renewZone ends the zone and starts another. If that fails it is locked all the
// same, and tried again. s.mu is held.
func (s *Stronghold) renewZone() {
	if err := s.lockUp(); err != nil {
		s.log.Error("zone not ended cleanly", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), zoneTimeout)
	defer cancel()
	zone, err := s.startZone(ctx)
	if err != nil {
		s.log.Error("zone not started", "error", err)
		s.running.Go(func() { s.revive(0) })
		return
	}
	s.setZone(zone)
}

// lockUp finishes the changes under way and ends the zone. One that is stuck is
// ended after a while: what it had not staged by then has not happened. s.mu is held.
func (s *Stronghold) lockUp() error {
	zone := s.zone
	s.zone = nil
	if zone == nil {
		s.dropJournal()
		return nil
	}
	impatient := time.AfterFunc(lockGrace, func() { zone.Close() })
	s.dropJournal()
	impatient.Stop()
	if err := zone.Close(); err != nil && !errors.Is(err, sandbox.ErrEnded) {
		return err
	}
	return nil
}

// dropJournal finishes or fails the changes under way and closes the file.
func (s *Stronghold) dropJournal() {
	if s.journal != nil {
		s.journal.close()
		s.journal = nil
	}
	s.recovered = false
}

// unlock brings the file to the zone, with the sealed passphrase.
func (s *Stronghold) unlock(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	s.unlocking.Lock()
	defer s.unlocking.Unlock()
	s.mu.RLock()
	zone, unlocked := s.zone, s.journal != nil
	s.mu.RUnlock()
	if unlocked {
		return protocol.Refuse(protocol.Status_EXISTS, "it is unlocked already"), nil
	}
	if zone == nil {
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "the zone has ended and is being started again"), nil
	}
	file, err := s.disk.Open(s.path(vaultFile))
	if err != nil {
		return s.refuseFile(err), nil
	}
	resp, err := s.bring(ctx, zone, req, file, false)
	if err != nil || resp.Status != protocol.Status_OK {
		file.Close()
	}
	switch {
	case errors.Is(err, sandbox.ErrEnded):
		return protocol.Refuse(protocol.Status_UNAVAILABLE, "the zone ended while it opened the snapshot"), nil
	case err != nil:
		// It may yet open the snapshot, and nobody would know.
		s.mu.Lock()
		if s.zone == zone && !s.closed {
			s.renewZone()
		}
		s.mu.Unlock()
		return nil, err
	case resp.Status != protocol.Status_OK:
		return resp, nil
	}
	if resp.Recovered {
		s.log.Warn("snapshot was cut short; going on with the state before", "bytes", resp.Length)
	}
	if behind := time.Until(time.UnixMilli(int64(min(resp.LatestMs, math.MaxInt64)))); behind > clockSlack {
		s.log.Warn("the clock is behind the latest change in the snapshot, whose time holds until then", "behind", behind.Round(time.Second).String())
	}
	j := s.newJournal(zone, file, resp)
	err = j.settle(int64(resp.Last))
	if err == nil {
		if len(s.state.marks()) == 0 && resp.Change.GetSequence() > 0 {
			s.log.Warn("nothing was remembered of what was written last in this home; if the snapshot is an older one, nothing shows it", "changes", resp.Change.GetSequence())
		}
		err = s.state.setMarks(markOf(resp))
	}
	if err != nil {
		file.Close()
		zone.Close() // the watcher starts another
		return s.refuseFile(err), nil
	}
	s.mu.Lock()
	if s.zone != zone || s.closed {
		s.mu.Unlock()
		file.Close()
		return protocol.Refuse(protocol.Status_LOCKED, "it was locked meanwhile"), nil
	}
	s.journal, s.recovered, s.ended = j, resp.Recovered, ""
	s.running.Go(j.run)
	s.running.Go(j.follow)
	s.running.Go(j.folder)
	s.mu.Unlock()
	return &protocol.Response{Status: protocol.Status_OK}, nil
}

// save writes the whole state as a fresh file: what was revoked is not in it.
// If prepare is not nil it is called before, and its answer is that of the node
// unless the file does not come to be.
func (s *Stronghold) save(prepare func() (*protocol.Response, error)) (*protocol.Response, error) {
	s.mu.RLock()
	j := s.journal
	s.mu.RUnlock()
	if j == nil {
		return protocol.Refuse(protocol.Status_LOCKED, ""), nil
	}
	resp := &protocol.Response{Status: protocol.Status_OK}
	var prepared func() error
	if prepare != nil {
		prepared = func() (err error) {
			if resp, err = prepare(); err == nil && resp.Status != protocol.Status_OK {
				err = errRefused
			}
			return err
		}
	}
	err := j.fold(prepared)
	switch {
	case err == errRefused:
		return resp, nil
	case errors.Is(err, errLocking), errors.Is(err, sandbox.ErrEnded):
		return protocol.Refuse(protocol.Status_LOCKED, "it was locked meanwhile"), nil
	case err != nil:
		s.log.Error("snapshot not saved", "error", err)
		return refuseDisk(err), nil
	}
	return resp, nil
}

var errRefused = errors.New("local: the zone refused")

// collect has the ciphertext of what was revoked overwritten in the zone's memory,
// and writes a file without it in the place of the one that has it.
func (s *Stronghold) collect(ctx context.Context) (*protocol.Response, error) {
	if resp, err := s.save(nil); err != nil || resp.Status != protocol.Status_OK {
		return resp, err
	}
	return s.ask(ctx, &protocol.Request{Id: protocol.NewID(), Operation: "zone.collect"})
}

// Inspect tells what a snapshot file tells without a key, and its size in bytes.
// A zone of its own reads it: the file may be anybody's. Refusals are a
// [*protocol.Error].
func Inspect(ctx context.Context, path string) (_ *protocol.SnapshotInfo, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	head, err := io.ReadAll(io.LimitReader(f, maxSmallFile))
	if err != nil {
		return nil, 0, err
	}
	zone, err := new(Stronghold).startZone(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("local: start the zone: %w", err)
	}
	defer zone.Close()
	req := &protocol.Request{Id: protocol.NewID(), Operation: "zone.inspect", Snapshot: head}
	resp, err := call(ctx, zone, req)
	if err != nil {
		return nil, 0, err
	}
	return resp.Info, st.Size(), protocol.AsError(req, resp)
}

// bring gives the file to the zone: its beginning, and then what the zone wants of it. The
// error means that no answer came.
func (s *Stronghold) bring(ctx context.Context, zone *handle, unlock *protocol.Request, file io.ReaderAt, salvage bool) (*protocol.Response, error) {
	// The secret was sealed for node.unlock: the zone opens it as what it was asked for.
	req := &protocol.Request{Id: unlock.Id, Operation: "zone.open", Secret: unlock.Secret, Device: s.state.device[:], Within: unlock.Within, Cost: unlock.Cost, Salvage: salvage}
	s.settings.Limits.put(req)
	if req.AcceptOlder = unlock.AcceptOlder; !req.AcceptOlder {
		for _, m := range s.state.marks() {
			req.Known = append(req.Known, &protocol.Mark{Lineage: m.lineage[:], Sequence: m.seq, Tag: m.tag[:]})
		}
	}
	wanted := &protocol.Range{Bytes: openSize}
	for {
		var err error
		if req.Snapshot, err = readRange(file, wanted, math.MaxInt64); err != nil {
			return nil, err
		}
		req.More = uint64(len(req.Snapshot)) == wanted.Bytes
		if req.Secret != nil {
			hashed, refusal, err := s.hash(ctx, zone, req)
			if hashed == nil {
				return refusal, err
			}
			req = hashed
		}
		resp, err := call(ctx, zone, req)
		if err != nil || resp.Status != protocol.Status_OK || resp.Wanted == nil {
			return resp, err
		}
		wanted = resp.Wanted
		req = &protocol.Request{Id: protocol.NewID(), Operation: "zone.open"}
	}
}

// readRange reads what the zone wants of a file of this size; less, where that ends.
func readRange(file io.ReaderAt, wanted *protocol.Range, size int64) ([]byte, error) {
	if wanted.Bytes > partSize || wanted.At > math.MaxInt64-partSize {
		return nil, errors.New("local: the zone wants more of the file than there can be")
	}
	at := int64(wanted.At)
	part := make([]byte, max(0, min(int64(wanted.Bytes), size-at)))
	n, err := file.ReadAt(part, at)
	if err == io.EOF {
		err = nil
	}
	return part[:n], err
}

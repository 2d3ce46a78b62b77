package local

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// usages is what each known peer has made, and how much it writes. It outlives their
// connections; what they have made outlives the node, too, but for what a node that
// crashes had not remembered yet.
type usages struct {
	limits PeerLimits
	now    func() time.Time

	mu    sync.Mutex
	by    map[string]*usage
	dirty map[string]bool // peers whose amounts are not remembered as they are
}

// usage is that of one peer. A change is counted with the most that it could make before
// the zone is asked, and with what it made once that is known: so the limits hold,
// whatever comes at once.
type usage struct {
	made     amounts
	underway amounts
	passing  passing
	journal  bucket
	seen     []string // where the peer connected from
}

// amounts are what stays.
type amounts struct{ records, tombstones, clients, storeBytes int64 }

func (a *amounts) add(b amounts) {
	a.records += b.records
	a.tombstones += b.tombstones
	a.clients += b.clients
	a.storeBytes += b.storeBytes
}

func (a amounts) negative() amounts {
	return amounts{-a.records, -a.tombstones, -a.clients, -a.storeBytes}
}

// atLeast is the larger of each.
func (a amounts) atLeast(b amounts) amounts {
	return amounts{max(a.records, b.records), max(a.tombstones, b.tombstones), max(a.clients, b.clients), max(a.storeBytes, b.storeBytes)}
}

// told is a as messages have it; it is not less than 0.
func (a amounts) told() *protocol.Usage {
	return &protocol.Usage{Records: uint64(a.records), Tombstones: uint64(a.tombstones), Clients: uint64(a.clients), StoreBytes: uint64(a.storeBytes)}
}

// passing is what goes by itself within a day: bytes, by the hour in which they are gone.
type passing struct {
	hour  int64
	bytes [25]int64
}

const (
	hourMs = 3600 * 1000
	dayMs  = 24 * hourMs
)

// sum is how many there are at an hour.
func (p *passing) sum(hour int64) (n int64) {
	p.hour = max(p.hour, hour-int64(len(p.bytes)))
	for ; p.hour < hour; p.hour++ {
		p.bytes[p.hour%int64(len(p.bytes))] = 0
	}
	for _, b := range p.bytes {
		n += b
	}
	return n
}

// add adds what is gone after an hour, or takes it away.
func (p *passing) add(until, n int64) {
	if until >= p.hour {
		p.bytes[until%int64(len(p.bytes))] += n
	}
}

// A bucket fills with so many a second, up to a limit. It may be in debt.
type bucket struct {
	left float64
	at   time.Time // when that was; zero: it is full
}

// wait is how long it takes until there is something in it.
func (b *bucket) wait(now time.Time, each time.Duration, most float64) time.Duration {
	rate := most / each.Seconds()
	if b.left += now.Sub(b.at).Seconds() * rate; b.at.IsZero() || b.left > most {
		b.left = most
	}
	b.at = now
	if b.left > 0 {
		return 0
	}
	return time.Duration((1-b.left)/rate*float64(time.Second)) + time.Millisecond
}

func newUsages(l PeerLimits) *usages {
	return &usages{limits: l.withDefaults(), now: time.Now, by: map[string]*usage{}, dirty: map[string]bool{}}
}

// A bound is the most that a request makes.
type bound struct {
	amounts
	passing []pass
}

// pass is what passes: bytes, and in how many ms.
type pass struct{ bytes, ms int64 }

// boundOf says what a request of a peer makes at most.
func boundOf(req *protocol.Request) (b bound) {
	switch req.Operation {
	case "pipeline.run":
		for _, step := range req.Steps {
			in := boundOf(step)
			b.add(in.amounts)
			b.passing = append(b.passing, in.passing...)
		}
	case "record.revoke":
		b.tombstones = 1
	case "record.move":
		b.records, b.tombstones, b.clients = 1, 1, 1
	case "record.disable", "record.enable", "record.type", "store.remove":
	case "store.put", "store.swap":
		size := int64(len(req.Location.GetVault()) + len(req.Value))
		switch ttl := int64(min(req.TtlMs, math.MaxInt64)); {
		case req.Session && (ttl == 0 || ttl > dayMs): // it is gone when it is locked: nobody knows when that is
			b.passing = []pass{{size, dayMs}}
		case req.Session, ttl != 0 && ttl < dayMs:
			b.passing = []pass{{size, ttl}}
		default:
			b.storeBytes = size
		}
		if !req.Session {
			b.clients = 1
		}
	default:
		if op, ok := protocol.Lookup(req.Operation); ok && op.Changes {
			b.records, b.clients = 1, 1
		}
	}
	return b
}

// A spending is a change of a peer that is under way.
type spending struct {
	all   *usages
	peer  string
	of    *usage
	bound bound
	began int64 // ms since the Unix epoch
}

// begin makes room for a change of a peer, or says why there is none. req tells the zone
// who asks, where it keeps what he brings apart, and what is left to him, where that is
// less than he could make: the zone knows what he does.
func (s *usages) begin(peer string, req *protocol.Request) (*spending, *protocol.Response) {
	b := boundOf(req)
	s.mu.Lock()
	defer s.mu.Unlock()
	u, now := s.usage(peer), s.now()
	if wait := u.journal.wait(now, time.Minute, float64(s.limits.Journal)); wait > 0 {
		return nil, limited("bytes of changes a minute", s.limits.Journal, wait)
	}
	var passes int64
	for _, p := range b.passing {
		passes += p.bytes
	}
	sp := &spending{all: s, peer: peer, of: u, bound: b, began: now.UnixMilli()}
	hour := sp.began / hourMs
	left := amounts{s.limits.Records, s.limits.Tombstones, s.limits.Clients, s.limits.StoreBytes - u.passing.sum(hour) - passes}
	left.add(u.made.negative())
	left.add(u.underway.negative())
	switch {
	case passes == 0 || left.storeBytes >= 0:
	case u.made.storeBytes+passes <= s.limits.StoreBytes: // it is what passes that is too much
		return nil, limited("bytes of stores", s.limits.StoreBytes, time.Duration((hour+1)*hourMs-sp.began)*time.Millisecond)
	default:
		return nil, protocol.Refuse(protocol.Status_NO_SPACE, fmt.Sprintf("bytes of stores: at most %d that this peer makes", s.limits.StoreBytes))
	}
	left = left.atLeast(amounts{})
	if least := b.amounts.negative().atLeast(left.negative()).negative(); least != b.amounts {
		sp.bound.amounts = least
		req.Left = left.told()
	}
	if req.Secret != nil || req.Passphrase != nil || req.Steps != nil {
		req.Asker = peerNumber(peer)
	}
	u.underway.add(sp.bound.amounts)
	sp.passes(1)
	return sp, nil
}

func limited(what string, most int64, wait time.Duration) *protocol.Response {
	return &protocol.Response{Status: protocol.Status_LIMITED, Detail: fmt.Sprintf("%s: at most %d for this peer", what, most),
		RetryAfterMs: uint32(min(wait.Milliseconds()+1, math.MaxUint32))}
}

// passes adds what passes, or takes it away: sign is 1 or -1.
func (sp *spending) passes(sign int64) {
	for _, p := range sp.bound.passing {
		sp.of.passing.add((sp.began+p.ms)/hourMs, sign*p.bytes)
	}
}

// end says what became of the change. c is nil if nothing of it is in the journal.
func (sp *spending) end(done bool, c *protocol.Change) {
	if sp == nil { // of the local user
		return
	}
	s := sp.all
	s.mu.Lock()
	defer s.mu.Unlock()
	u := sp.of
	u.underway.add(sp.bound.amounts.negative())
	if !done {
		sp.passes(-1)
		return
	}
	if c == nil {
		return
	}
	u.made.add(amounts{c.Records, c.Tombstones, c.Clients, c.StoreBytes})
	u.made = u.made.atLeast(amounts{}) // what he took away of others' is no credit
	u.journal.left -= float64(len(c.Entry))
	if s.by[sp.peer] == u { // the peer is known still
		s.dirty[sp.peer] = true
	}
}

// usage is that of a peer. s.mu is held.
func (s *usages) usage(peer string) *usage {
	u := s.by[peer]
	if u == nil {
		u = new(usage)
		s.by[peer] = u
	}
	return u
}

// keep forgets all peers but these.
func (s *usages) keep(known []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := map[string]*usage{}
	for _, id := range known {
		if u := s.by[id]; u != nil {
			by[id] = u
		}
	}
	for id := range s.by {
		if by[id] == nil {
			s.dirty[id] = true
		}
	}
	s.by = by
}

// load takes what was remembered.
func (s *usages) load(remembered map[string]*protocol.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range remembered {
		u := s.usage(id)
		u.made, u.seen = amounts{int64(r.Records), int64(r.Tombstones), int64(r.Clients), int64(r.StoreBytes)}, r.Seen
	}
}

// changed is what is to be remembered since it was called last; nil for a peer that is to be forgotten.
func (s *usages) changed() map[string]*protocol.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]*protocol.Usage{}
	for id := range s.dirty {
		if u := s.by[id]; u != nil {
			out[id] = u.told()
		} else {
			out[id] = nil
		}
	}
	clear(s.dirty)
	return out
}

// of is what is known of a peer; nil if nothing is.
func (s *usages) of(peer string) *protocol.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.by[peer]; u != nil && (u.made != (amounts{}) || u.seen != nil) {
		return u.told()
	}
	return nil
}

func (u *usage) told() *protocol.Usage {
	told := u.made.told()
	told.Seen = u.seen
	return told
}

// Saw is told where a peer was seen, the latest last, so that a node knows it when it
// starts again: [Stronghold.Peers] tells it.
func (s *Stronghold) Saw(peer string, networks []string) {
	s.usages.mu.Lock()
	defer s.usages.mu.Unlock()
	s.usages.usage(peer).seen = networks
	s.usages.dirty[peer] = true
}

// remember remembers outside of the file where it ends, and what peers have made up to
// then.
func (s *Stronghold) remember(marks ...mark) error {
	if err := s.state.setMarks(marks...); err != nil {
		return err
	}
	return s.state.setUsage(s.usages.changed())
}

// peerNumber is what the zone knows a peer by; never 0.
func peerNumber(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:]) | 1
}

package node

import (
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// notices tells the operator's log what peers are refused: at once, as long as it is
// little, else how much it is, from time to time.
type notices struct {
	log *slog.Logger

	mu     sync.Mutex
	closed bool
	under  map[notice]*noticed
}

// A notice is what is told of a peer.
type notice struct{ peer, what string }

// noticed is how often that came lately.
type noticed struct {
	whole, untold int
	first         []any // of what is not told
	end           *time.Timer
}

const (
	noticeEvery  = 10 * time.Second
	noticesWhole = 5 // that are told at once, in that time
)

func newNotices(log *slog.Logger) *notices {
	return &notices{log: log, under: map[notice]*noticed{}}
}

// refused takes note of a request that was refused. what is a constant.
func (n *notices) refused(peer, what string, req *protocol.Request, reason string) {
	about := func() []any {
		return []any{"peer", peer, "operation", req.Operation, "request_id", hex.EncodeToString(req.Id), "reason", reason}
	}
	if !n.counted(notice{peer, what}, about) {
		n.log.Info(what, about()...) // with no lock held: a log may be slow
	}
}

// counted says whether this one is only counted. The first of those stands for all.
func (n *notices) counted(key notice, about func() []any) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.under[key]
	if v == nil {
		if n.closed {
			return false
		}
		v = &noticed{end: time.AfterFunc(noticeEvery, func() { n.ended(key) })}
		n.under[key] = v
	}
	if v.whole < noticesWhole {
		v.whole++
		return false
	}
	if v.untold++; v.untold == 1 {
		v.first = about()
	}
	return true
}

// ended tells how much came, and goes on if anything did.
func (n *notices) ended(key notice) {
	n.mu.Lock()
	v := n.under[key]
	if v == nil {
		n.mu.Unlock()
		return
	}
	told := *v
	if v.untold > 0 {
		*v = noticed{whole: noticesWhole, end: v.end} // what goes on is counted, and no more told at once
		v.end.Reset(noticeEvery)
	} else {
		delete(n.under, key)
	}
	n.mu.Unlock()
	n.tell(key, &told)
}

func (n *notices) tell(key notice, v *noticed) {
	if v.untold > 0 {
		n.log.Info(key.what, append(v.first, "times", v.untold)...)
	}
}

// close tells the rest.
func (n *notices) close() {
	n.mu.Lock()
	under := n.under
	n.closed, n.under = true, nil
	n.mu.Unlock()
	for key, v := range under {
		v.end.Stop()
		n.tell(key, v)
	}
}

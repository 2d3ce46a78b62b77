package node

import (
	"errors"

	"github.com/stronghold-go/stronghold/protocol"
)

// ErrUnreachable is what every error is that says a peer could not be asked.
// The request was not done then.
var ErrUnreachable = errors.New("peer unreachable")

// Why a peer could not be asked. Each is [ErrUnreachable] to errors.Is.
const (
	ErrUnknownPeer = unreachable("no peer of this name or id is known here: add it first")
	ErrNoAddress   = unreachable("no address of it is known here: add one, or wait until it connects")
	ErrNoAnswer    = unreachable("nobody answers at its addresses")
	ErrWrongPeer   = unreachable("another node answers at its address")
	ErrRefused     = unreachable("it hung up at once: it may not know this node, which must be added there")
	ErrStopping    = unreachable("it is stopping")
	ErrBusy        = unreachable("it is over its limits: this node has too many streams there")
	ErrNoProtocol  = unreachable("it does not speak this version of the protocol")
	ErrClosed      = unreachable("this node is stopping")
)

var errAddress = errors.New("node: not the address of a peer")

// unreachable is a reason, for a person.
type unreachable string

func (e unreachable) Error() string { return ErrUnreachable.Error() + ": " + string(e) }

func (e unreachable) Is(target error) bool { return target == ErrUnreachable }

// As gives the refusal that a server makes of e (protocol.Answer).
func (e unreachable) As(target any) bool {
	t, ok := target.(**protocol.Error)
	if ok {
		*t = &protocol.Error{Status: protocol.Status_UNAVAILABLE, Detail: e.Error()}
	}
	return ok
}

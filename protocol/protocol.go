// Package protocol says what the bytes between two parties mean.
//
// A party asks with a [Request] and is answered with a [Response]; everything
// that can be asked implements [Handler]: the engine in the zone, the pipe to
// it, a remote node, and the local node behind its socket. What may be asked is
// one table, [Operations]: it names each operation's fields, what right it
// needs, and at which [Door] it may be asked. A request that does not fit its
// row is refused before anything looks at it ([Check]).
//
// The messages are protocol buffers (stronghold.proto), so that programs in any
// language can speak them. They travel on a stream as varint-delimited frames,
// many in flight, answered out of order ([Conn], [Server]). Secrets in them are
// sealed to the zone, or to the asker, with HPKE ([Seal], [Open]).
//
// PROTOCOL.md is the same for people who write another implementation.
package protocol

import (
	"context"
	"crypto/rand"
	"time"
)

// ID is the libp2p protocol id. A new field or operation is a new minor version;
// both ends speak the highest that they share.
const ID = "/stronghold/1.0.0"

// Limits of every implementation of this version.
const (
	MaxFrame       = 1 << 20  // bytes of one frame, without its length
	MaxSegment     = 256      // bytes of one location segment
	MaxSecret      = 64 << 10 // bytes of a secret, before sealing
	MaxRecordPath  = 128      // bytes of a record's path: a longer one is not its id's only name
	MaxPassphrase  = 4 << 10  // bytes of a mnemonic's passphrase
	WrapOverhead   = 8        // bytes that wrapping adds to a key
	MaxHint        = 24       // bytes
	MaxValue       = 64 << 10 // bytes of a store's value
	MaxTTL         = 100 * 365 * 24 * 3600 * 1000
	MaxPart        = 512 << 10       // bytes of a file in one request or answer
	MaxSalt        = 1 << 10         // bytes of the salt of an old file's password
	MaxPage        = 1000            // entries a listing gives at once
	MaxSteps       = 64              // of a pipeline
	MaxTimeout     = 5 * time.Minute // of one request; a longer one is cut to this
	DefaultTimeout = 30 * time.Second
)

// Handler answers requests. The error means that no answer came; a refusal is
// an answer, with a status. Implementations are safe for concurrent use.
type Handler interface {
	Handle(ctx context.Context, req *Request) (*Response, error)
}

// HandlerFunc is a function that answers requests.
type HandlerFunc func(ctx context.Context, req *Request) (*Response, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, req *Request) (*Response, error) { return f(ctx, req) }

// NewID returns 16 random bytes for Request.Id.
func NewID() []byte {
	id := make([]byte, 16)
	rand.Read(id) // never fails: crypto/rand ends the process instead
	return id
}

// Refuse is an answer without a result.
func Refuse(s Status, detail string) *Response { return &Response{Status: s, Detail: detail} }

// Invalid is the answer to a request whose field is wrong. It never tells the value.
func Invalid(field, detail string) *Response {
	return &Response{Status: Status_INVALID, Field: field, Detail: detail}
}

// Timeout is how long the asker of req waits, within [MaxTimeout].
func Timeout(req *Request) time.Duration {
	if req.TimeoutMs == 0 {
		return DefaultTimeout
	}
	return min(time.Duration(req.TimeoutMs)*time.Millisecond, MaxTimeout)
}

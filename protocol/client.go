package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Client is the typed way to ask any [Handler]. Its zero value asks nobody;
// set H. Every method returns an [*Error] for a refusal.
type Client struct {
	H Handler
}

// Do sends req, filling in its id and the time it may take, and turns a refusal
// into an error.
func (c Client) Do(ctx context.Context, req *Request) (*Response, error) {
	if req.Id == nil {
		req.Id = NewID()
	}
	if deadline, ok := ctx.Deadline(); ok && req.TimeoutMs == 0 {
		req.TimeoutMs = uint32(max(1, min(time.Until(deadline), MaxTimeout).Milliseconds()))
	}
	resp, err := c.H.Handle(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.Operation, err)
	}
	return resp, AsError(req, resp)
}

// Result is what [Client.Go] delivers.
type Result struct {
	Response *Response
	Err      error
}

// Go is [Client.Do] for those who want the ask pattern: the channel delivers
// one result.
func (c Client) Go(ctx context.Context, req *Request) <-chan Result {
	ch := make(chan Result, 1)
	go func() {
		resp, err := c.Do(ctx, req)
		ch <- Result{resp, err}
	}()
	return ch
}

// GenerateKey makes a key of the kind at loc and returns its public half.
func (c Client) GenerateKey(ctx context.Context, loc *Location, kind string, overwrite bool) ([]byte, error) {
	resp, err := c.Do(ctx, &Request{Operation: "key.generate", Location: loc, Kind: kind, Overwrite: overwrite})
	return resp.GetPublicKey(), err
}

// ImportKey seals secret to the zone, stores it at loc as a key of the kind and
// returns its public half. The caller wipes secret.
func (c Client) ImportKey(ctx context.Context, loc *Location, kind string, secret []byte, overwrite bool) ([]byte, error) {
	req := &Request{Id: NewID(), Operation: "key.import", Location: loc, Kind: kind, Overwrite: overwrite}
	resp, err := c.doSealed(ctx, req, secret, nil)
	return resp.GetPublicKey(), err
}

// PublicKey returns the kind and the public half of the key at loc.
func (c Client) PublicKey(ctx context.Context, loc *Location) (kind string, public []byte, err error) {
	resp, err := c.Do(ctx, &Request{Operation: "key.public", Location: loc})
	return resp.GetKind(), resp.GetPublicKey(), err
}

// Sign returns the Ed25519 signature (64 bytes, RFC 8032) of message.
func (c Client) Sign(ctx context.Context, loc *Location, message []byte) ([]byte, error) {
	if message == nil {
		message = []byte{} // the empty message is a message
	}
	resp, err := c.Do(ctx, &Request{Operation: "ed25519.sign", Location: loc, Message: message})
	return resp.GetSignature(), err
}

// Revoke takes the secret of the record at loc away.
func (c Client) Revoke(ctx context.Context, loc *Location) error {
	_, err := c.Do(ctx, &Request{Operation: "record.revoke", Location: loc})
	return err
}

// List calls yield for each record below prefix, in the order of their ids,
// until yield returns false. A nil prefix lists all.
func (c Client) List(ctx context.Context, prefix *Location, yield func(*Entry) bool) error {
	var after []byte
	for {
		resp, err := c.Do(ctx, &Request{Operation: "record.list", Location: prefix, After: after})
		if err != nil {
			return err
		}
		for _, e := range resp.Entries {
			if !yield(e) {
				return nil
			}
		}
		if after = resp.Next; len(after) == 0 {
			return nil
		}
	}
}

// Unlock seals the passphrase to the zone, which opens the snapshot with it.
// The caller wipes passphrase.
func (c Client) Unlock(ctx context.Context, passphrase []byte) error {
	return c.UnlockWith(ctx, passphrase, UnlockOptions{})
}

// UnlockOptions say how [Client.UnlockWith] goes about it.
type UnlockOptions struct {
	AcceptOlder bool        // also if it is older than the last one written here ([ErrOlder]): what was changed since is not in it
	MaxCost     uint32      // what trying the passphrase slots may take, all together: log2 of scrypt's N, at most 27; 0: 20
	Clients     []*Location // load these and no others; nil: all. One that is not in the snapshot is [ErrNotFound]
}

// UnlockWith is [Client.Unlock] with options.
func (c Client) UnlockWith(ctx context.Context, passphrase []byte, o UnlockOptions) error {
	req := &Request{Id: NewID(), Operation: "node.unlock", AcceptOlder: o.AcceptOlder, Cost: o.MaxCost, Within: o.Clients}
	_, err := c.doSealed(ctx, req, passphrase, nil)
	return err
}

// Lock drops every secret and closes the snapshot.
func (c Client) Lock(ctx context.Context) error {
	_, err := c.Do(ctx, &Request{Operation: "node.lock"})
	return err
}

// Status tells how the node is.
func (c Client) Status(ctx context.Context) (*NodeStatus, error) {
	resp, err := c.Do(ctx, &Request{Operation: "node.status"})
	return resp.GetNode(), err
}

// doSealed is Do for a request that brings secrets, sealed to the zone's key. What is nil
// is left out. If they do not open since the zone has another key by now, it is asked
// once more.
func (c Client) doSealed(ctx context.Context, req *Request, secret, passphrase []byte) (*Response, error) {
	switch {
	case len(secret) > MaxSecret:
		return nil, &Error{Status: Status_INVALID, Operation: req.Operation, Field: "secret", Detail: "too long", RequestID: req.Id}
	case len(passphrase) > MaxPassphrase:
		return nil, &Error{Status: Status_INVALID, Operation: req.Operation, Field: "passphrase", Detail: "too long", RequestID: req.Id}
	case secret == nil && passphrase == nil:
		return c.Do(ctx, req)
	}
	zone := func() ([]byte, error) {
		resp, err := c.Do(ctx, &Request{Operation: "zone.key", Location: req.Location})
		return resp.GetPublicKey(), err
	}
	key, err := zone()
	if err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		if secret != nil {
			if req.Secret, err = Seal(key, req, "secret", ToZone, secret); err != nil {
				return nil, err
			}
		}
		if passphrase != nil {
			if req.Passphrase, err = Seal(key, req, "passphrase", ToZone, passphrase); err != nil {
				return nil, err
			}
		}
		resp, err := c.Do(ctx, req)
		var refused *Error
		if again || !errors.As(err, &refused) || refused.Status != Status_INVALID || refused.Field != "secret" && refused.Field != "passphrase" {
			return resp, err
		}
		now, failed := zone()
		if failed != nil || bytes.Equal(now, key) { // it was not for the key
			return resp, err
		}
		key = now
	}
}

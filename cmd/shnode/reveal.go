package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/stronghold-go/stronghold/protocol"
)

// reveal is where a secret goes that a person asked to see: the terminal that
// stdout is, or a new file that only its owner can read. It never goes to a
// pipe, where nobody knows what keeps it.
type reveal struct {
	a    *app
	path string
	file *os.File // nil: the terminal
}

// reveal opens the place before anything is asked for: what is told once must
// not be lost because a file could not be made.
func (a *app) reveal(what, out string) (*reveal, error) {
	if out == "" {
		if a.onTerminal() {
			return &reveal{a: a}, nil
		}
		return nil, usage(what+" is shown on a terminal only, and stdout is none", "--out FILE writes it to a new file that only you can read")
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, failed("exists", out+" exists already", "name a new file: what is there may be a secret too")
	}
	if err != nil {
		return nil, err
	}
	return &reveal{a, out, f}, nil
}

// onTerminal says whether a person reads stdout.
func (a *app) onTerminal() bool {
	f, ok := a.stdout.(*os.File)
	return ok && isTerminal(f)
}

// show writes the secret as a line. With --json and no file it does nothing:
// the secret is then in what the command prints.
func (r *reveal) show(secret []byte) error {
	line := append(bytes.Clone(secret), '\n')
	defer clear(line)
	if r.file == nil {
		if r.a.json {
			return nil
		}
		_, err := r.a.stdout.Write(line)
		return err
	}
	_, err := r.file.Write(line)
	if err == nil {
		err = r.file.Sync()
	}
	err = errors.Join(err, r.file.Close())
	if err != nil {
		os.Remove(r.path)
	}
	r.file = nil
	return err
}

// abandon removes the file if nothing was shown.
func (r *reveal) abandon() {
	if r.file != nil {
		r.file.Close()
		os.Remove(r.path)
	}
}

// sealed are the fields of a request whose values are sealed to the zone.
var sealedFields = []string{"secret", "passphrase"}

// seal puts secrets into the fields of req that they are for, sealed to the zone
// that will answer it, so that nothing in between can read them.
func seal(ctx context.Context, c protocol.Client, req *protocol.Request, secrets map[string][]byte) error {
	if len(secrets) == 0 {
		return nil
	}
	zone, err := c.Do(ctx, &protocol.Request{Operation: "zone.key", Location: req.Location})
	if err != nil {
		return err
	}
	if req.Id == nil {
		req.Id = protocol.NewID() // what is sealed is bound to it
	}
	for field, secret := range secrets {
		sealed, err := protocol.Seal(zone.PublicKey, req, field, protocol.ToZone, secret)
		if err != nil {
			return fmt.Errorf("the zone's key: %w", err)
		}
		switch field {
		case "secret":
			req.Secret = sealed
		case "passphrase":
			req.Passphrase = sealed
		default:
			panic("shnode: internal error: a sealed field that is none")
		}
	}
	return nil
}

// askSealed asks for a secret, which comes sealed to a key that is made for this
// one answer. The caller wipes it.
func askSealed(ctx context.Context, c protocol.Client, req *protocol.Request) (*protocol.Response, []byte, error) {
	key, err := protocol.NewSealKey()
	if err != nil {
		return nil, nil, err
	}
	req.ReplyKey = key.Public()
	resp, err := c.Do(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	secret, err := protocol.Open(key, req, "reply_key", protocol.ToAsker, resp.Sealed)
	if err != nil {
		return nil, nil, failed("sealed", "the answer was not sealed for this request, and does not open",
			"something between here and the zone has changed it; what was asked for may have been done all the same")
	}
	return resp, secret, nil
}

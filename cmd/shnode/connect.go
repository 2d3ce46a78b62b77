package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/stronghold-go/stronghold/node"
	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

// home is the folder of the node that is meant.
func (a *app) home() (string, error) {
	dir := a.homeFlag
	if dir == "" {
		dir = os.Getenv("SHNODE_HOME")
	}
	if state := os.Getenv("XDG_STATE_HOME"); dir == "" && filepath.IsAbs(state) { // the XDG specification has the others ignored
		dir = filepath.Join(state, "shnode")
	}
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", usage("it is not known where homes are: "+err.Error(), "name one with --home")
		}
		dir = filepath.Join(user, ".local", "state", "shnode")
	}
	return filepath.Abs(dir)
}

// asker is a handler as this command line asks it: of a peer with --peer, and
// with --timeout for each request, so that what a person types takes no time
// from it.
type asker struct {
	next    protocol.Handler
	to      string
	timeout time.Duration
}

// answerGrace is how much longer than the node we wait: what it says of a
// timeout is more than we could.
const answerGrace = 250 * time.Millisecond

func (h asker) Handle(ctx context.Context, req *protocol.Request) (*protocol.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout+answerGrace)
	defer cancel()
	req.To = h.to
	req.TimeoutMs = uint32(max(1, h.timeout.Milliseconds()))
	return h.next.Handle(ctx, req)
}

func (a *app) client(h protocol.Handler) protocol.Client {
	return protocol.Client{H: asker{h, a.peer, a.timeout}}
}

// ask lets f ask the node that runs on the home.
func (a *app) ask(ctx context.Context, f func(protocol.Client) error) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	return a.askRunning(ctx, home, f)
}

func (a *app) askRunning(ctx context.Context, home string, f func(protocol.Client) error) error {
	dial, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	conn, err := control.Dial(dial, home)
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(a.client(conn))
}

// askHome is ask for what needs a home but no running node, so that a person
// can get a home ready before its first start: where none runs, it opens the
// home for as long as f takes.
func (a *app) askHome(ctx context.Context, f func(c protocol.Client, running bool) error) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	err = a.askRunning(ctx, home, func(c protocol.Client) error { return f(c, true) })
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	n, err := openNode(ctx, home, slog.New(slog.DiscardHandler), nowhere)
	if err != nil {
		return err
	}
	defer n.close()
	return f(a.client(n.Local()), false)
}

// opened is a node of this process.
type opened struct {
	*node.Node
	local *local.Stronghold
}

// nowhere is what a node listens on that is not to be asked by peers.
func nowhere(local.Settings) []string { return nil }

// openNode opens the home and its node, which listens on what listen makes of
// the home's settings.
func openNode(ctx context.Context, home string, log *slog.Logger, listen func(local.Settings) []string) (*opened, error) {
	s, err := local.Open(ctx, local.Config{Home: home, Log: log})
	if errors.Is(err, local.ErrNoHome) {
		return nil, noHome(home)
	}
	if err != nil {
		return nil, err
	}
	n, err := node.New(node.Config{Local: s, Listen: listen(s.Settings()), Log: log,
		Limits: node.Limits{RequestsPerSecond: int(s.Settings().Limits.Peer.Requests)}})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &opened{n, s}, nil
}

// close ends the node, then the zone, which its requests need.
func (n *opened) close() error {
	return errors.Join(n.Node.Close(), n.local.Close())
}

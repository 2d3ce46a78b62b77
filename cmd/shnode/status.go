package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/protocol"
)

// pollInterval is how often `status --wait` looks.
const pollInterval = 50 * time.Millisecond

func (a *app) statusCommand() *cobra.Command {
	var wait string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "tell how the node is: addresses, locked or unlocked, the zone's protection, peers, last save",
		Long: `status tells how the node is. Where none runs it says so, and tells what the home
holds. --wait waits until a node answers, --wait=unlocked until it is unlocked
too, for as long as --timeout says.`,
		Example: `  shnode status
  shnode status --wait --timeout 10s
  shnode status --json`,
		Args: takes(0, 0),
	}
	cmd.Flags().StringVar(&wait, "wait", "", "wait until the node is \"running\", or \"unlocked\"")
	cmd.Flags().Lookup("wait").NoOptDefVal = "running"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch wait {
		case "":
			return a.askHome(cmd.Context(), func(c protocol.Client, running bool) error {
				s, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				return a.printStatus(s, running)
			})
		case "running", "unlocked":
			s, err := a.awaitNode(cmd.Context(), wait == "unlocked")
			if err != nil {
				return err
			}
			return a.printStatus(s, true)
		}
		return usage("--wait takes running or unlocked", "")
	}
	return cmd
}

// awaitNode asks for the status until a node answers, and is unlocked if that
// is asked for.
func (a *app) awaitNode(ctx context.Context, unlocked bool) (*protocol.NodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	last := control.ErrNotRunning // why it is not as wanted, when time is up
	for {
		var s *protocol.NodeStatus
		err := a.ask(ctx, func(c protocol.Client) (err error) {
			s, err = c.Status(ctx)
			return err
		})
		switch {
		case err == nil && (!unlocked || !s.Locked):
			return s, nil
		case err == nil:
			last = &protocol.Error{Status: protocol.Status_LOCKED, Operation: "node.status"}
		case ctx.Err() == nil && explain(ctx, err, false).exit != exitUnreachable:
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if context.Cause(ctx) != context.DeadlineExceeded {
				return nil, context.Cause(ctx)
			}
			return nil, last
		}
	}
}

// statusJSON is `status --json`.
type statusJSON struct {
	Running   bool      `json:"running"`
	Locked    bool      `json:"locked"`
	PeerID    string    `json:"peer"`
	Addresses []string  `json:"addresses"`
	Peers     uint32    `json:"peers"`
	Connected uint32    `json:"connected"`
	Saved     string    `json:"saved,omitempty"` // RFC 3339
	Recovered bool      `json:"recovered"`
	PolicyErr string    `json:"policy_error,omitempty"` // why policy.toml is not in force
	Version   string    `json:"version,omitempty"`
	Zone      *zoneJSON `json:"zone,omitempty"`
}

type zoneJSON struct {
	PID    uint32      `json:"pid"`
	Ended  string      `json:"ended,omitempty"` // why the zone before this one did
	Layers []layerJSON `json:"layers"`
}

type layerJSON struct {
	Name     string `json:"name"`
	Active   bool   `json:"active"`
	Required bool   `json:"required"`
	Note     string `json:"note,omitempty"`
	Hint     string `json:"hint,omitempty"` // what to do about a missing one
}

func statusOf(s *protocol.NodeStatus, running bool) statusJSON {
	out := statusJSON{Running: running, Locked: s.Locked, PeerID: s.PeerId, Addresses: s.Addresses,
		Peers: s.Peers, Connected: s.Connected, Recovered: s.Recovered, PolicyErr: s.PolicyError, Version: s.Version}
	if out.Addresses == nil {
		out.Addresses = []string{}
	}
	if s.SavedMs != 0 {
		out.Saved = moment(s.SavedMs)
	}
	// The zone of a home that only this command has open tells nothing of a node's.
	if s.Zone == nil || !running {
		return out
	}
	out.Zone = &zoneJSON{PID: s.Zone.Pid, Ended: s.Zone.Ended}
	out.Zone.Layers, _ = layersOf(s.Zone)
	return out
}

func (a *app) printStatus(s *protocol.NodeStatus, running bool) error {
	st := statusOf(s, running)
	if a.json {
		return a.printJSON(st)
	}
	state := "running, unlocked"
	switch {
	case !running:
		state = "not running"
	case st.Locked:
		state = "running, locked"
	}
	rows := [][]string{{"node", state}, {"peer", st.PeerID}}
	for _, addr := range st.Addresses {
		rows = append(rows, []string{"listening", addr})
	}
	if running {
		rows = append(rows, []string{"peers", fmt.Sprintf("%d known, %d connected", st.Peers, st.Connected)})
		saved := "nothing since it was unlocked"
		if st.Locked {
			saved = "-"
		}
		if st.Saved != "" {
			saved = st.Saved
		}
		rows = append(rows, []string{"last save", saved})
	} else {
		rows = append(rows, []string{"peers", fmt.Sprintf("%d known", st.Peers)})
	}
	if st.Recovered {
		rows = append(rows, []string{"snapshot", "its end had been cut short; what was whole before it is there"})
	}
	if st.PolicyErr != "" {
		rows = append(rows, []string{"policy", "not in force, so peers may do nothing: " + st.PolicyErr})
	}
	if err := a.table(append(rows, zoneRows(st.Zone)...)); err != nil {
		return err
	}
	a.hintLayers(st.Zone)
	switch {
	case !running:
		a.hint("start it with `shnode run`")
	case st.PolicyErr != "":
		a.hint("mend the file, then `shnode policy apply FILE`")
	case st.Locked:
		a.hint("open it with `shnode unlock`")
	}
	return nil
}

func zoneRows(z *zoneJSON) [][]string {
	if z == nil {
		return nil
	}
	active := 0
	for _, l := range z.Layers {
		if l.Active {
			active++
		}
	}
	rows := [][]string{{"zone", fmt.Sprintf("process %d, %d of %d layers active", z.PID, active, len(z.Layers))}}
	if z.Ended != "" {
		rows = append(rows, []string{"", "the one before it ended: " + z.Ended})
	}
	for _, l := range z.Layers {
		if l.Active {
			rows = append(rows, []string{"", "+ " + l.Name})
		} else {
			rows = append(rows, []string{"", "- " + l.Name + " is missing: " + dash(l.Note)})
		}
	}
	return rows
}

// hintLayers says what to do about missing layers, each thing once.
func (a *app) hintLayers(z *zoneJSON) {
	if z == nil {
		return
	}
	var said []string
	for _, l := range z.Layers {
		if l.Hint != "" && !slices.Contains(said, l.Hint) {
			said = append(said, l.Hint)
			a.hint(l.Hint)
		}
	}
}

// moment is a time of a node as RFC 3339, in UTC.
func moment(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339)
}

func (a *app) unlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "open the snapshot in the zone; asks for the passphrase",
		Example: `  shnode unlock
  pass show shnode | shnode unlock --passphrase-file -
  shnode unlock --client wallet`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.ask(ctx, func(c protocol.Client) error { return a.unlock(ctx, c) })
		},
	}
	a.unlockFlags(cmd)
	return cmd
}

// unlockFlags are those of the commands that unlock.
func (a *app) unlockFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&a.clients, "client", nil, "load this client of the snapshot and none that is not named; all, if there is no such flag")
	maxCostFlag(cmd, &a.maxCost)
	cmd.Flags().BoolVar(&a.acceptOlder, "accept-older", false, "open the snapshot also if it is older than the last one that was written in this home")
}

func (a *app) unlock(ctx context.Context, c protocol.Client) error {
	options := protocol.UnlockOptions{AcceptOlder: a.acceptOlder, MaxCost: a.maxCost}
	if err := checkMaxCost(a.maxCost); err != nil {
		return err
	}
	for _, name := range a.clients {
		client, err := clientArg(name)
		if err != nil {
			return err
		}
		options.Clients = append(options.Clients, client)
	}
	// Before anybody types.
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if !s.Locked {
		a.talkf("it is unlocked already; no passphrase was looked at")
		return a.printIf(map[string]bool{"locked": false})
	}
	a.warnUnfiltered(s.Zone)
	passphrase, err := a.passphrase(ctx, false)
	if err != nil {
		return err
	}
	defer passphrase.Destroy()
	if err := c.UnlockWith(ctx, passphrase.Bytes(), options); err != nil {
		return a.hinted(err, protocol.Status_NOT_FOUND, "the snapshot has no such client as --client says; it was not opened")
	}
	a.talkf("unlocked")
	return a.printIf(map[string]bool{"locked": false})
}

func (a *app) lockCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "lock",
		Short:   "drop every secret and close the snapshot",
		Long:    "lock ends the zone, with every secret in it, and starts an empty one.",
		Example: `  shnode lock`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				if err := c.Lock(cmd.Context()); err != nil {
					return err
				}
				a.talkf("locked")
				return a.printIf(map[string]bool{"locked": true})
			})
		},
	}
}

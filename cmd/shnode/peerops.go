package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) peerRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "give another node a new name; no right moves",
		Long: `rename changes what a node is called here. The policy in force goes on to mean
the same nodes, whatever their names, and rename tells where it speaks of this one;
a file that is applied next has to use the new name, and the one that
` + "`shnode policy show`" + ` prints means the same without.`,
		Example: `  shnode peer rename laptop old-laptop`,
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.askHome(ctx, func(c protocol.Client, _ bool) error {
				req := &protocol.Request{Operation: "peer.rename", Name: args[0], NewName: args[1]}
				resp, err := c.Do(ctx, req)
				if err != nil {
					err = a.hinted(err, protocol.Status_EXISTS, "`shnode peer ls` tells what is taken")
					return a.hinted(err, protocol.Status_NOT_FOUND, "`shnode peer ls` tells who is known")
				}
				a.talkf("%s is called %s now; the rights of neither name have moved", printable(args[0]), printable(args[1]))
				out := map[string]any{"renamed": args[0], "name": args[1]}
				a.tellMentions(out, resp.Text, "the policy in force means it as before")
				return a.printIf(out)
			})
		},
	}
}

func (a *app) peerRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME [ADDR]",
		Short: "know another node no more, and hang up on it; or forget one address of it",
		Long: `rm forgets a node: its connections end, and it is not let in again. What the
policy in force says of it stays, and holds again if the same node is added; rm
tells where that is.

With ADDR, as ` + "`shnode peer ls`" + ` shows it, only that address is forgotten. A node
without any is still let in.`,
		Example: `  shnode peer rm laptop
  shnode peer rm laptop /ip4/192.0.2.7/tcp/7411`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			req := &protocol.Request{Operation: "peer.remove", Name: args[0]}
			if len(args) > 1 {
				var err error
				if req.Address, err = a.text(ctx, "ADDR", args[1]); err != nil {
					return err
				}
				if req.Address == "" { // which would mean all of the peer
					return usage("ADDR is empty", "`shnode peer ls` tells which addresses are known")
				}
			}
			return a.askHome(ctx, func(c protocol.Client, _ bool) error {
				resp, err := c.Do(ctx, req)
				if err != nil {
					return a.hinted(err, protocol.Status_NOT_FOUND, "`shnode peer ls` tells who is known, and at which addresses")
				}
				if req.Address != "" {
					a.talkf("this address of %s is forgotten", printable(args[0]))
					return a.printIf(map[string]string{"name": args[0], "removed": req.Address})
				}
				a.talkf("%s is not let in any more", printable(args[0]))
				out := map[string]any{"removed": args[0]}
				a.tellMentions(out, resp.Text, "the policy in force still speaks of it, and holds if it is added again")
				return a.printIf(out)
			})
		},
	}
}

// tellMentions tells where the policy in force speaks of a peer, if it does, and
// what that means.
func (a *app) tellMentions(out map[string]any, text, meaning string) {
	if rules := textLines(text); len(rules) > 0 {
		out["rules"] = rules
		a.talkf("%s: %s", meaning, printable(strings.Join(rules, "; ")))
	}
}

func (a *app) peerPingCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ping PEER",
		Short: "tell how long a peer takes to answer, and whether the way is direct",
		Long: `ping connects to a peer where there is no connection, and sends it a few bytes to
send back. PEER is a name, an id or an address. It tells nothing of whether the
peer is unlocked, or permits anything.`,
		Example: `  shnode peer ping laptop`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.ask(ctx, func(c protocol.Client) error {
				resp, err := c.Do(ctx, &protocol.Request{Operation: "peer.ping", Peer: args[0]})
				if err != nil {
					return a.hinted(err, protocol.Status_UNAVAILABLE, outcomes[protocol.Status_UNAVAILABLE].remote)
				}
				p := resp.GetPing()
				took := time.Duration(p.GetRoundTripUs()) * time.Microsecond
				way := "direct"
				if p.GetRelayed() {
					way = "relayed"
				}
				out := map[string]any{"peer": args[0], "round_trip_ms": float64(p.GetRoundTripUs()) / 1000,
					"relayed": p.GetRelayed(), "address": p.GetAddress()}
				return a.print(out, fmt.Sprintf("%s %s %s %s", printable(args[0]), way, took, printable(p.GetAddress())))
			})
		},
	}
}

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) peerCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "peer",
		Short: "names for other nodes, and this node's own id",
		Long: `A peer is another node that this one knows by a name. Only peers are let in, and
what they may do there is for the policy to say: a new peer may do nothing.`,
		Example: `  shnode peer id
  shnode peer add laptop /ip4/192.0.2.7/tcp/7411/p2p/12D3KooW…`,
	}, a.peerIDCommand(), a.peerAddCommand(), a.peerListCommand(),
		a.peerRenameCommand(), a.peerRemoveCommand(), a.peerPingCommand())
}

func (a *app) peerIDCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "id",
		Short:   "print this node's peer id",
		Example: `  shnode peer id`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.askHome(cmd.Context(), func(c protocol.Client, _ bool) error {
				s, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				return a.print(map[string]any{"id": s.PeerId, "addresses": emptyNotNull(s.Addresses)}, s.PeerId)
			})
		},
	}
}

func (a *app) peerAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME ADDR",
		Short: "know another node by a name",
		Long: `add lets another node in, and lets this one reach it by its name. ADDR is an
address that ends in /p2p/ID, as the other node's ready line has it, or an id
alone, for a node that will connect by itself. The other node has to add this
one too. Adding another address to a peer keeps those it has.`,
		Example: `  shnode peer add laptop /ip4/192.0.2.7/tcp/7411/p2p/12D3KooW…
  shnode peer add phone 12D3KooW…`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			addr, err := a.text(ctx, "ADDR", args[1])
			if err != nil {
				return err
			}
			return a.askHome(ctx, func(c protocol.Client, _ bool) error {
				if _, err := c.Do(ctx, &protocol.Request{Operation: "peer.add", Name: args[0], Address: addr}); err != nil {
					return err
				}
				a.talkf("%s may connect now; what it may do is for the policy to say", printable(args[0]))
				return a.printIf(map[string]string{"name": args[0]})
			})
		},
	}
}

func (a *app) peerListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list the known nodes",
		Example: `  shnode peer ls --json`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.askHome(cmd.Context(), func(c protocol.Client, running bool) error {
				resp, err := c.Do(cmd.Context(), &protocol.Request{Operation: "peer.list"})
				if err != nil {
					return err
				}
				return a.printPeers(resp.Peers, running)
			})
		},
	}
}

func (a *app) printPeers(peers []*protocol.Peer, running bool) error {
	if a.json {
		for _, p := range peers {
			err := a.printJSON(map[string]any{"name": p.Name, "id": p.Id, "addresses": emptyNotNull(p.Addresses), "connected": p.Connected,
				"made": map[string]any{"records": p.Usage.GetRecords(), "tombstones": p.Usage.GetTombstones(), "clients": p.Usage.GetClients(), "store_bytes": p.Usage.GetStoreBytes()}})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if len(peers) == 0 {
		a.hint("no peers yet; add one with `shnode peer add NAME ADDR`")
		return nil
	}
	rows := [][]string{{"NAME", "CONNECTED", "ID", "ADDRESSES"}}
	for _, p := range peers {
		connected := "no"
		switch {
		case !running:
			connected = "not running"
		case p.Connected:
			connected = "yes"
		}
		var addrs []string
		for _, addr := range p.Addresses {
			addrs = append(addrs, strings.TrimSuffix(addr, "/p2p/"+p.Id))
		}
		rows = append(rows, []string{p.Name, connected, p.Id, strings.Join(addrs, " ")})
	}
	return a.table(rows)
}

// emptyNotNull makes JSON of an empty list a list.
func emptyNotNull(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

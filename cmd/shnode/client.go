package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) clientCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "client",
		Short: "clients, which vaults and stores belong to",
		Long: `A client is the first part of every name: wallet in wallet/keys/main. It comes into
being when something is written to it, or by ` + "`shnode client create`" + `.`,
		Example: `  shnode client create wallet
  shnode client ls
  shnode client unload wallet
  shnode client load wallet
  shnode client purge wallet`,
	}, a.clientListCommand(), a.clientCreateCommand(), a.clientLoadCommand(), a.clientUnloadCommand(), a.clientPurgeCommand())
}

// clientArg reads an argument that names a client.
func clientArg(arg string) (*protocol.Location, error) {
	loc, err := location(arg)
	if err == nil && loc.Depth() != 1 {
		err = usage("a client has one name", "for example wallet; a / in it is written %2F")
	}
	return loc, err
}

func (a *app) clientListCommand() *cobra.Command {
	var bySize bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "list clients, and how much each holds",
		Example: `  shnode client ls --by-size`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var all []*protocol.ClientInfo
			err := a.ask(ctx, func(c protocol.Client) error {
				all = nil
				var after []byte
				for {
					resp, err := c.Do(ctx, &protocol.Request{Operation: "client.list", After: after})
					if err != nil {
						return err
					}
					all = append(all, resp.Clients...)
					if after = resp.Next; len(after) == 0 {
						return nil
					}
				}
			})
			if err != nil {
				return err
			}
			return a.printClients(all, bySize)
		},
	}
	cmd.Flags().BoolVar(&bySize, "by-size", false, "the largest first, by records and then by bytes; else by name")
	return cmd
}

func (a *app) clientCreateCommand() *cobra.Command {
	return a.clientChange("client.create", "created", &cobra.Command{
		Use:   "create CLIENT",
		Short: "make a client that holds nothing",
		Long: `create makes a client, and fails if there is one of that name. Writing a record
makes its client, too.`,
		Example: `  shnode client create wallet`,
	})
}

func (a *app) clientLoadCommand() *cobra.Command {
	var all bool
	var as string
	cmd := &cobra.Command{
		Use:   "load CLIENT | load --all",
		Short: "load a client from the snapshot, or give it another name",
		Long: `load decrypts a client that ` + "`shnode unlock --client`" + ` or
` + "`shnode client unload`" + ` has left in the snapshot. With --as it has another
name from then on, with all it holds; one that is loaded can be given another name,
too. No passphrase is asked for: the node is unlocked.`,
		Example: `  shnode client load wallet
  shnode client load wallet --as savings
  shnode client load --all`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req := &protocol.Request{Operation: "client.load"}
			done := map[string]string{"loaded": "all"}
			switch {
			case all && (len(args) > 0 || as != ""), !all && len(args) == 0:
				return usage("name a client, or say --all", "")
			case !all:
				if req.Location, err = clientArg(args[0]); err != nil {
					return err
				}
				done["loaded"] = req.Location.Text()
			}
			if as != "" {
				if req.Target, err = clientArg(as); err != nil {
					return err
				}
				done["as"] = req.Target.Text()
			}
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				if _, err := c.Do(cmd.Context(), req); err != nil {
					err = a.hinted(err, protocol.Status_EXISTS, "there is a client of that name already: `shnode client ls` tells what there is")
					return a.hinted(err, protocol.Status_NOT_FOUND, "`shnode client ls` tells what there is")
				}
				if as == "" {
					a.talkf("loaded %s", done["loaded"])
				} else {
					a.talkf("loaded %s as %s", done["loaded"], done["as"])
				}
				return a.printIf(done)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "load every client that is not loaded")
	cmd.Flags().StringVar(&as, "as", "", "give it this name from now on")
	return cmd
}

func (a *app) clientUnloadCommand() *cobra.Command {
	return a.clientChange("client.unload", "unloaded", &cobra.Command{
		Use:   "unload CLIENT",
		Short: "drop what a client holds from memory; the snapshot keeps it",
		Long: `unload drops all secrets of a client from the zone, and the values of its session.
What is asked of it is refused until ` + "`shnode client load`" + ` loads it again.`,
		Example: `  shnode client unload wallet`,
	})
}

func (a *app) clientPurgeCommand() *cobra.Command {
	return a.clientChange("client.purge", "purged", &cobra.Command{
		Use:   "purge CLIENT",
		Short: "take a client away with all it holds, for good",
		Long: `purge takes away all records and values of a client, and the client: nothing tells
that it was there. ` + "`shnode exec vault.collect`" + ` takes it out of the file at once.`,
		Example: `  shnode client purge wallet`,
	})
}

func (a *app) clientChange(operation, done string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = takes(1, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := clientArg(args[0])
		if err != nil {
			return err
		}
		return a.ask(cmd.Context(), func(c protocol.Client) error {
			_, err := c.Do(cmd.Context(), &protocol.Request{Operation: operation, Location: client})
			if err != nil {
				err = a.hinted(err, protocol.Status_EXISTS, "`shnode client ls` tells what there is")
				return a.hinted(err, protocol.Status_NOT_FOUND, "`shnode client ls` tells what there is")
			}
			a.talkf("%s %s", done, client.Text())
			return a.printIf(map[string]string{done: client.Text()})
		})
	}
	return cmd
}

func (a *app) printClients(all []*protocol.ClientInfo, bySize bool) error {
	sortClients(all, bySize)
	rows := [][]string{{"CLIENT", "VAULTS", "RECORDS", "VALUES", "BYTES"}}
	for _, c := range all {
		if a.json {
			line := map[string]any{"client": c.Location.Text(), "loaded": !c.Unloaded}
			if !c.Unloaded {
				line["vaults"], line["records"], line["values"], line["value_bytes"] = c.Vaults, c.Records, c.Values, c.ValueBytes
			}
			if err := a.printJSON(line); err != nil {
				return err
			}
			continue
		}
		row := []string{c.Location.Text()}
		if c.Unloaded {
			rows = append(rows, append(row, "not loaded", "-", "-", "-"))
			continue
		}
		for _, n := range []uint64{c.Vaults, c.Records, c.Values, c.ValueBytes} {
			row = append(row, strconv.FormatUint(n, 10))
		}
		rows = append(rows, row)
	}
	switch {
	case a.json:
		return nil
	case len(all) == 0:
		a.talkf("no clients")
		return nil
	}
	return a.table(rows)
}

// sortClients puts clients in the order of their names, or the largest first.
func sortClients(all []*protocol.ClientInfo, bySize bool) {
	slices.SortFunc(all, func(x, y *protocol.ClientInfo) int {
		byName := strings.Compare(x.Location.Text(), y.Location.Text())
		if !bySize {
			return byName
		}
		return cmp.Or(cmp.Compare(y.Records, x.Records), cmp.Compare(y.ValueBytes, x.ValueBytes), byName)
	})
}

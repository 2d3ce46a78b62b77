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
  shnode client purge wallet`,
	}, a.clientListCommand(), a.clientCreateCommand(), a.clientPurgeCommand())
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
			err := a.printJSON(map[string]any{"client": c.Location.Text(), "vaults": c.Vaults, "records": c.Records, "values": c.Values, "value_bytes": c.ValueBytes})
			if err != nil {
				return err
			}
			continue
		}
		row := []string{c.Location.Text()}
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

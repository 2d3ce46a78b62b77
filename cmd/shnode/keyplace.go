package main

import (
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) keyCopyCommand() *cobra.Command {
	return a.placeCommand("record.copy", &cobra.Command{
		Use:   "cp FROM TO",
		Short: "put the same record in another place",
		Long: `cp puts the secret at FROM at TO as well, with its kind, its flags and its hint.
It asks for the rights to use and to write FROM, and to write TO. The copy is a
record of its own: it stays when FROM is removed. A TO of client/vault/@head is
the next version there.`,
		Example: `  shnode key cp wallet/keys/main backup/keys/main`,
	})
}

func (a *app) keyMoveCommand() *cobra.Command {
	return a.placeCommand("record.move", &cobra.Command{
		Use:     "mv FROM TO",
		Short:   "put a record in another place, and revoke it where it was",
		Long:    "mv is `shnode key cp` and `shnode key rm` of FROM, both or neither.",
		Example: `  shnode key mv wallet/keys/main archive/2026/main`,
	})
}

func (a *app) placeCommand(operation string, cmd *cobra.Command) *cobra.Command {
	var overwrite bool
	cmd.Args = takes(2, 2)
	cmd.Annotations = map[string]string{forPeers: "yes"}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, err := record(args[0])
		if err != nil {
			return err
		}
		to, err := record(args[1])
		if err != nil {
			return err
		}
		return a.ask(cmd.Context(), func(c protocol.Client) error {
			resp, err := c.Do(cmd.Context(), &protocol.Request{Operation: operation, Location: from, Target: to, Overwrite: overwrite})
			if err != nil {
				return err
			}
			return a.printMade(to, resp)
		})
	}
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace the record that is there, for good")
	return cmd
}

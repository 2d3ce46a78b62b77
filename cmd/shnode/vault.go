package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) vaultCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "vault",
		Short: "what holds for a vault as a whole",
		Example: `  shnode vault keep wallet/rotating 5
  shnode vault keep wallet/rotating`,
	}, a.vaultKeepCommand())
}

func (a *app) vaultKeepCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keep VAULT [N]",
		Short: "keep the last N versions of a vault, or tell how many are kept",
		Long: `What is written to client/vault/@head gets the next number, and what was there
stays readable under its own, until it is removed. keep has a vault keep its last
N versions: those that are older go now, and whenever a new one is written. They
leave nothing behind, and their numbers are not given again. 0 keeps all, as every
vault does at first. Records with names are no versions, and stay.

What went is in the file until it is written anew: ` + "`shnode snapshot save`" + ` does that.`,
		Example: `  shnode vault keep wallet/rotating 5
  shnode vault keep wallet/rotating
  shnode key versions wallet/rotating`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			vault, err := vaultOf(args[0])
			if err != nil {
				return err
			}
			if len(args) == 2 {
				n, err := strconv.ParseUint(args[1], 10, 64)
				if err != nil {
					return usage("N is how many versions are kept: a number, 0 for all", "")
				}
				return a.ask(ctx, func(c protocol.Client) error {
					if _, err := c.Do(ctx, &protocol.Request{Operation: "vault.keep", Location: vault, Keep: &n}); err != nil {
						return err
					}
					if n == 0 {
						a.talkf("%s keeps all its versions", vault.Text())
					} else {
						a.talkf("%s keeps its last %s", vault.Text(), versionsOf(n))
					}
					return a.printIf(map[string]any{"vault": vault.Text(), "keep": n})
				})
			}
			var info *protocol.VaultInfo
			err = a.ask(ctx, func(c protocol.Client) error {
				resp, err := c.Do(ctx, &protocol.Request{Operation: "vault.stat", Location: vault})
				info = resp.GetVault()
				return err
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"vault": vault.Text(), "keep": info.GetKeep(), "next_version": info.GetNextVersion()})
			}
			_, err = a.stdout.Write([]byte(strconv.FormatUint(info.GetKeep(), 10) + "\n"))
			return err
		},
	}
}

func versionsOf(n uint64) string {
	if n == 1 {
		return "version"
	}
	return strconv.FormatUint(n, 10) + " versions"
}

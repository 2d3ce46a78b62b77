package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) snapshotVerifyCommand() *cobra.Command {
	var o local.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "read a snapshot wholly, with its passphrase, and tell whether it is as it was written; asks no node",
		Long: `verify opens a snapshot in a zone of its own, which ends with it, and holds every
byte of it against what authenticates it. It changes nothing. Where a file is
damaged it says at which byte.

--salvage OUT writes what can still be had of a damaged file as a new one, which the
same passphrases and keys open: what stands before the damage, and what opens behind
it. It says what is missing. The damaged file stays as it is. Somebody who has had it
in his hands may have taken changes out of it: look at what has come.`,
		Example: `  shnode snapshot verify backup.stronghold --passphrase-file passphrase
  shnode snapshot verify damaged.stronghold --salvage saved.stronghold`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkMaxCost(o.MaxCost); err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer passphrase.Destroy()
			o.Secret = passphrase.Bytes()
			ctx, cancel := a.within(cmd)
			defer cancel()
			v, err := local.Verify(ctx, args[0], o)
			if errors.Is(err, fs.ErrExist) {
				return fileExists(o.Salvage)
			}
			if err != nil {
				return aboutFile(args[0], err)
			}
			if o.Salvage != "" {
				return a.printSalvaged(args[0], v, map[string]any{"salvaged_to": o.Salvage})
			}
			return a.printVerified(args[0], v, nil)
		},
	}
	cmd.Flags().StringVar(&o.Salvage, "salvage", "", "write what can be had of a damaged file as a new one of this name")
	maxCostFlag(cmd, &o.MaxCost)
	return cmd
}

// within has what asks no node end after --timeout, if it is given: a file may be as
// large as it likes.
func (a *app) within(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if !cmd.Flags().Changed("timeout") {
		return cmd.Context(), func() {}
	}
	return context.WithTimeout(cmd.Context(), a.timeout)
}

// maxCostFlag is for what opens a file that may be anybody's.
func maxCostFlag(cmd *cobra.Command, cost *uint32) {
	cmd.Flags().Uint32Var(cost, "max-cost", 20, "log2 of the work to try the passphrase on the file's slots with, all together; 20 takes 1 GiB of memory at most, and some seconds")
}

func checkMaxCost(cost uint32) error {
	if cost == 0 || cost > maxMaxCost {
		return usage("--max-cost is 1 to 27", "each step doubles the time; `shnode snapshot inspect FILE` tells what each slot of a file takes")
	}
	return nil
}

const maxMaxCost = maxCost + 5 // as many slots as there can be

func (a *app) snapshotRestoreCommand() *cobra.Command {
	var o local.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "put a copy of a snapshot in the place of the home's, after it was verified",
		Long: `restore reads FILE wholly, with its passphrase, as verify does, and puts a copy of it
in the place of the home's snapshot. No node may run on the home. The file that
was there stays, as vault.stronghold.replaced-TIME: it still holds what was revoked.

A file that is older than the last one that was written in this home is refused,
since what was changed in between is not in it, unless --accept-older is given.

With --salvage FILE may be damaged, and be the home's own: what can be had of it
takes its place. See ` + "`shnode help snapshot verify`" + `.`,
		Example: `  shnode snapshot restore backup.stronghold --dry-run
  shnode snapshot restore backup.stronghold --accept-older`,
		Args: takes(1, 1),
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "verify it, and change nothing")
	cmd.Flags().BoolVar(&o.AcceptOlder, "accept-older", false, "also if it is older than the last one that was written here")
	cmd.Flags().BoolVar(&o.Salvage, "salvage", false, "restore what can be had of a damaged file")
	maxCostFlag(cmd, &o.MaxCost)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		home, err := a.home()
		if err == nil {
			err = checkMaxCost(o.MaxCost)
		}
		if err != nil {
			return err
		}
		passphrase, err := a.passphrase(cmd.Context(), false)
		if err != nil {
			return err
		}
		defer passphrase.Destroy()
		o.Secret = passphrase.Bytes()
		ctx, cancel := a.within(cmd)
		defer cancel()
		v, replaced, err := local.Restore(ctx, local.Config{Home: home}, args[0], o)
		switch {
		case errors.Is(err, local.ErrNoHome):
			return noHome(home)
		case errors.Is(err, local.ErrInUse):
			return failed("in_use", "a node runs on this home", "stop it before another file takes its snapshot's place")
		case err != nil:
			return aboutFile(args[0], err)
		}
		if !o.DryRun {
			a.talkf("restored")
		}
		more := map[string]any{"restored": !o.DryRun, "replaced": replaced}
		if o.Salvage {
			return a.printSalvaged(args[0], v, more)
		}
		return a.printVerified(args[0], v, more)
	}
	return cmd
}

// aboutFile says which file a refusal is about: the hints of the table are about
// the home's own.
func aboutFile(file string, err error) error {
	refused := (*protocol.Error)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	f := explainStatus(refused, false)
	f.message = printable(file) + ": " + f.message
	switch refused.Status {
	case protocol.Status_WRONG_KEY:
		f.hint = "it takes the passphrase that this file was written under; nothing was changed"
	case protocol.Status_DAMAGED:
		f.hint = "try another copy, or see what --salvage can have of this one; nothing was changed"
	case protocol.Status_OLDER:
		f.hint = "with --accept-older it is taken all the same, without what was changed since; nothing was changed"
	default:
		if hint, ok := inspectHints[refused.Status]; ok {
			f.hint = hint
		}
	}
	return f
}

func (a *app) printVerified(file string, v *local.Verified, more map[string]any) error {
	if a.json {
		out := map[string]any{"file": file, "verified": true, "size": v.Size, "journal": v.Length - v.Base, "changes": v.Changes, "recovered": v.Recovered}
		for name, value := range more {
			out[name] = value
		}
		return a.printJSON(out)
	}
	end := "whole"
	switch room := v.Size - v.Length; {
	case !v.Recovered && room > 0: // it was copied from a node that has it open
		end = fmt.Sprintf("whole, with room for %d bytes more", room)
	case v.Recovered:
		end = fmt.Sprintf("cut short after %d bytes: the state is the one before", v.Length)
	}
	rows := [][]string{{"size", fmt.Sprintf("%d bytes, %d of them the journal", v.Size, v.Length-v.Base)}, {"changes", fmt.Sprint(v.Changes)}, {"end", end}}
	if replaced, ok := more["replaced"].(string); ok && replaced != "" {
		rows = append(rows, []string{"replaced", replaced})
	}
	return a.table(rows)
}

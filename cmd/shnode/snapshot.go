package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) snapshotCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "snapshot",
		Short: "the encrypted file that everything rests in",
		Long: `A snapshot is one encrypted file: vault.stronghold in the home. A copy of it is a
backup. Every change is on the disk before it is answered, so there is nothing
that has to be saved by hand; save writes a fresh file all the same.`,
		Example: `  shnode snapshot save
  shnode snapshot inspect backup.stronghold`,
	}, a.snapshotSaveCommand(), a.snapshotInspectCommand(), a.snapshotVerifyCommand(), a.snapshotRestoreCommand(),
		a.snapshotImportCommand(), a.snapshotExportCommand(), a.rekeyCommand(), a.slotCommand())
}

func (a *app) snapshotSaveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "save",
		Short: "write the whole state as a fresh file, without what was revoked",
		Long: `save writes the state as it is into a fresh file, and puts it in the place of the
old one, where what was revoked or overwritten stays, encrypted, until then.`,
		Example: `  shnode key rm wallet/keys/old && shnode snapshot save`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				if _, err := c.Do(cmd.Context(), &protocol.Request{Operation: "snapshot.save"}); err != nil {
					return err
				}
				a.talkf("saved")
				return a.printIf(map[string]bool{"saved": true})
			})
		},
	}
}

func (a *app) snapshotInspectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "tell what a snapshot tells without its passphrase; asks no node",
		Long: `inspect tells a snapshot's version and what opens it. COST is log2 of the work
that one guess at the passphrase takes (scrypt's N). It says nothing about
whether the rest of the file is whole.`,
		Example: `  shnode snapshot inspect ~/.local/state/shnode/vault.stronghold
  shnode snapshot inspect backup.stronghold --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, size, err := local.Inspect(cmd.Context(), args[0])
			if refused := (*protocol.Error)(nil); errors.As(err, &refused) {
				f := explainStatus(refused, false)
				f.message = printable(args[0]) + ": " + f.message
				f.hint = inspectHints[refused.Status] // those of the table are about the home's own file
				return f
			}
			if err != nil {
				return err
			}
			return a.printInspected(args[0], info, size)
		},
	}
}

var inspectHints = map[protocol.Status]string{
	protocol.Status_NOT_A_SNAPSHOT:      "a snapshot begins with PARTI; is this the right file?",
	protocol.Status_UNSUPPORTED_VERSION: "this shnode reads version 4.0: an older one is of the Rust version and comes in with `shnode snapshot import`, a newer one of a newer shnode",
	protocol.Status_DAMAGED:             "its beginning is not as it was written; try another copy",
}

func (a *app) printInspected(file string, info *protocol.SnapshotInfo, size int64) error {
	slots := make([]slotInfo, len(info.GetSlots()))
	rows := [][]string{{"version", info.GetVersion()}, {"size", fmt.Sprintf("%d bytes, %d of them the header", size, info.GetHeaderSize())}}
	for i, s := range info.GetSlots() {
		slots[i] = slotInfoOf(s)
		row := slots[i].row()
		rows = append(rows, append([]string{"slot " + row[0]}, row[1:]...))
	}
	if a.json {
		return a.printJSON(map[string]any{"file": file, "version": info.GetVersion(), "size": size,
			"header_size": info.GetHeaderSize(), "slots": slots})
	}
	return a.table(rows)
}

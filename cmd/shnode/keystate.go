package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) keyDisableCommand() *cobra.Command {
	return a.stateCommand("record.disable", "disabled", &cobra.Command{
		Use:   "disable LOC",
		Short: "have a record refuse every use, until it is enabled",
		Long: `disable keeps a record and lets nobody use it: it does not sign, is not derived
from, copied or wrapped, and tells no public key. It is listed, can be removed,
and is enabled again by ` + "`shnode key enable`" + `. Both ask for the right to write it.`,
		Example: `  shnode key disable wallet/keys/main`,
	})
}

func (a *app) keyEnableCommand() *cobra.Command {
	return a.stateCommand("record.enable", "enabled", &cobra.Command{
		Use:     "enable LOC",
		Short:   "let a record be used again that was disabled",
		Example: `  shnode key enable wallet/keys/main`,
	})
}

func (a *app) stateCommand(operation, done string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = takes(1, 1)
	cmd.Annotations = map[string]string{forPeers: "yes"}
	cmd.RunE = onRecord(func(ctx context.Context, loc *protocol.Location, _ []string) error {
		return a.ask(ctx, func(c protocol.Client) error {
			if _, err := c.Do(ctx, &protocol.Request{Operation: operation, Location: loc}); err != nil {
				return err
			}
			a.talkf("%s %s", done, loc.Text())
			return a.printIf(map[string]string{done: loc.Text()})
		})
	})
	return cmd
}

func (a *app) keyStatCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stat LOC",
		Short: "tell all of a record but its secret",
		Long: `stat tells a record's kind, its flags and its hint, and when, by which device and
as which of its changes it was made and last changed. Of @head it tells which
version that is.

The flags say what a record may be used for: sign, derive, encrypt, decrypt;
may-wrap-others, may-be-wrapped and exportable, which are off unless they were
asked for; and from-outside, when somebody has known the secret.`,
		Example: `  shnode key stat wallet/keys/main
  shnode key stat wallet/rotating/@head --json`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: onRecord(func(ctx context.Context, loc *protocol.Location, _ []string) error {
			return a.ask(ctx, func(c protocol.Client) error {
				resp, err := c.Do(ctx, &protocol.Request{Operation: "record.stat", Location: loc})
				if err != nil {
					return err
				}
				for _, e := range resp.Entries {
					if err := a.printStat(e); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
}

func (a *app) printStat(e *protocol.Entry) error {
	type when struct {
		At     string `json:"at"`
		Device string `json:"device,omitempty"` // not of a peer's record, as the next
		Change uint64 `json:"change,omitempty"`
	}
	at := func(ms uint64, s *protocol.Stamp) when {
		return when{moment(ms), hex.EncodeToString(s.GetDevice()), s.GetSequence()}
	}
	created, changed := at(e.CreatedMs, e.Created), at(e.ChangedMs, e.Changed)
	text := func(w when) string {
		if w.Device == "" {
			return w.At
		}
		return fmt.Sprintf("%s  by %s  change %d", w.At, w.Device, w.Change)
	}
	if a.json {
		return a.printJSON(map[string]any{"location": e.Location.Text(), "kind": e.Kind, "flags": emptyNotNull(e.Flags),
			"hint": hintText(e), "created": created, "changed": changed})
	}
	return a.table([][]string{
		{"location", e.Location.Text()},
		{"kind", e.Kind},
		{"flags", dash(strings.Join(e.Flags, " "))},
		{"hint", dash(printable(hintText(e)))},
		{"created", text(created)},
		{"changed", text(changed)},
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/node/control"
	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "tell what of the zone's protection is missing here, and what to do about it",
		Long: `doctor looks at the zone of the node that runs, or where none runs starts a zone
for a look; it needs no home. It tells each layer that keeps the zone apart, and
of each that is missing what to do. It ends with 0 if nothing has to be done,
and with 1 if something has. What only root can add has not to be.

On Linux all layers can be had. On macOS and Windows a zone is a process of its
own, and little more: doctor ends with 1 there, and says so.`,
		Example: `  shnode doctor
  shnode doctor --json | jq '.layers[] | select(.active | not)'`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			zone, running, err := a.anyZone(cmd.Context())
			if missing := (*sandbox.LayerError)(nil); errors.As(err, &missing) {
				l := missing.Layer
				zone = &protocol.Zone{Layers: []*protocol.Layer{{Name: l.Name, Active: l.Active, Required: l.Required, Note: l.Note}}}
				return a.printDiagnosis(zone, running, "a zone does not start here: "+err.Error())
			}
			if errors.As(err, new(*sandbox.DeniedError)) {
				return a.printDiagnosis(nil, running, "a zone does not start here: "+err.Error()+"\n      "+deniedHint)
			}
			if err != nil {
				return err
			}
			return a.printDiagnosis(zone, running, "")
		},
	}
}

// anyZone is the zone of the node that runs on the home, else one that is
// started for a look.
func (a *app) anyZone(ctx context.Context) (zone *protocol.Zone, running bool, err error) {
	err = a.ask(ctx, func(c protocol.Client) error {
		s, err := c.Status(ctx)
		zone = s.GetZone()
		return err
	})
	switch {
	case err == nil && len(zone.GetLayers()) > 0:
		return zone, true, nil
	case err != nil && !errors.Is(err, control.ErrNotRunning) && !errors.Is(err, local.ErrNoHome):
		return nil, false, err
	}
	zone, err = local.Posture(ctx)
	return zone, false, err
}

func (a *app) printDiagnosis(z *protocol.Zone, running bool, failure string) error {
	layers, ok := layersOf(z)
	ok = ok && failure == ""
	if a.json {
		out := map[string]any{"ok": ok, "running": running, "os": runtime.GOOS, "layers": layers}
		if failure != "" {
			out["failure"] = failure
		}
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else if err := a.printLayers(layers, running, ok, failure); err != nil {
		return err
	}
	if !ok {
		return answeredNo(exitFailed)
	}
	return nil
}

func (a *app) printLayers(layers []layerJSON, running, ok bool, failure string) error {
	var b strings.Builder
	switch {
	case failure != "":
		b.WriteString(printable(failure) + "\n")
	case running:
		b.WriteString("the zone of the node that runs:\n")
	default:
		b.WriteString("a zone that was started for a look (no node runs on this home):\n")
	}
	advised := map[string]bool{}
	for _, l := range layers {
		if l.Active {
			b.WriteString("  + " + l.Name)
			if l.Note != "" {
				b.WriteString(" (" + printable(l.Note) + ")")
			}
			b.WriteString("\n")
			continue
		}
		fmt.Fprintf(&b, "  - %s is missing: %s\n", l.Name, printable(dash(l.Note)))
		if l.Hint != "" && !advised[l.Hint] {
			advised[l.Hint] = true
			fmt.Fprintf(&b, "      %s\n", l.Hint)
		}
	}
	if ok {
		b.WriteString("nothing has to be done\n")
	}
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

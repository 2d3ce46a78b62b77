package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) keyVersionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "versions LOC",
		Short: "list the versions that a vault keeps under numbers, the newest last",
		Long: `What is written to client/vault/@head gets the next number, and what was there
stays readable under its own: client/vault/@7. versions lists what there is. LOC
is client/vault, or client/vault/@head. A version that was removed is not listed,
and its number is not given again. ` + "`shnode vault keep`" + ` has a vault keep the last
few only.`,
		Example: `  shnode key generate wallet/rotating/@head --type ed25519
  shnode key versions wallet/rotating
  shnode sign wallet/rotating/@head letter.txt`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			vault, err := vaultOf(args[0])
			if err != nil {
				return err
			}
			var entries []*protocol.Entry
			err = a.ask(ctx, func(c protocol.Client) (err error) {
				entries, _, err = pages(ctx, c, &protocol.Request{Operation: "record.list", Location: vault})
				return err
			})
			if err != nil {
				return err
			}
			entries = slices.DeleteFunc(entries, func(e *protocol.Entry) bool { return e.GetLocation() == nil || e.Location.Version == nil })
			slices.SortFunc(entries, func(x, y *protocol.Entry) int { return cmp.Compare(*x.Location.Version, *y.Location.Version) })
			return a.printVersions(entries)
		},
	}
}

// vaultOf reads client/vault, or the head in it.
func vaultOf(arg string) (*protocol.Location, error) {
	loc, err := location(arg)
	if err != nil {
		return nil, err
	}
	if loc.Head {
		loc = proto.CloneOf(loc)
		loc.Head = false
	}
	if loc.Depth() != 2 {
		return nil, usage("versions are those of a vault: client/vault, or client/vault/@head", locationHint)
	}
	return loc, nil
}

func (a *app) printVersions(entries []*protocol.Entry) error {
	type line struct {
		Location string `json:"location"`
		Version  uint64 `json:"version"`
		Kind     string `json:"kind"`
		Hint     string `json:"hint,omitempty"`
		Created  string `json:"created,omitempty"` // RFC 3339
	}
	rows := [][]string{{"LOCATION", "KIND", "CREATED"}}
	for _, e := range entries {
		l := line{Location: e.Location.Text(), Version: *e.Location.Version, Kind: e.Kind, Hint: hintText(e)}
		if e.CreatedMs != 0 {
			l.Created = moment(e.CreatedMs)
		}
		if a.json {
			if err := a.printJSON(l); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{l.Location, kindText(l.Kind, e.Flags), l.Created})
		if l.Hint != "" {
			rows[0] = hintedHeading
			rows[len(rows)-1] = append(rows[len(rows)-1], l.Hint)
		}
	}
	switch {
	case a.json:
		return nil
	case len(entries) == 0:
		a.talkf("no versions")
		return nil
	}
	return a.table(rows)
}

// hintedHeading is that of a listing in which a record has a hint.
var hintedHeading = []string{"LOCATION", "KIND", "CREATED", "HINT"}

// hintText is a record's hint. The versions in Rust padded it with zeros.
func hintText(e *protocol.Entry) string { return strings.TrimRight(string(e.Hint), "\x00") }

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
)

// placing are the flags of every command that writes a record.
type placing struct {
	hint      string
	overwrite bool
	uses      []string
}

func (p *placing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.hint, "hint", "", fmt.Sprintf("at most %d bytes that listings show; no secret", protocol.MaxHint))
	cmd.Flags().BoolVar(&p.overwrite, "overwrite", false, "replace the record that is there, for good")
	cmd.Flags().StringSliceVar(&p.uses, "flags", nil, "what it may be used for, if not all that its kind can: "+strings.Join(protocol.Flags(), ", "))
}

// fill puts them into a request.
func (p *placing) fill(req *protocol.Request) error {
	if len(p.hint) > protocol.MaxHint {
		return usage(fmt.Sprintf("--hint is at most %d bytes", protocol.MaxHint), "")
	}
	for _, f := range p.uses {
		if !slices.Contains(protocol.Flags(), f) {
			return usage("--flags: there is no flag "+printable(f), "some of: "+strings.Join(protocol.Flags(), ","))
		}
	}
	req.Hint, req.Overwrite, req.Flags = []byte(p.hint), p.overwrite, p.uses
	return nil
}

// printMade prints what was written: the public half of a key, or else where
// the record is. What was written to @head is told with the version it was given.
func (a *app) printMade(at *protocol.Location, resp *protocol.Response) error {
	if at.Head && resp.Version != nil {
		a.talkf("this is version %d", *resp.Version)
	}
	at = written(at, resp)
	out := map[string]any{"location": at.Text(), "kind": resp.Kind}
	line := at.Text()
	if len(resp.PublicKey) > 0 {
		line = base64Text(resp.PublicKey)
		out["public_key"] = line
	}
	if resp.Version != nil {
		out["version"] = *resp.Version
	}
	return a.print(out, line)
}

// written is where a record went that was written to at.
func written(at *protocol.Location, resp *protocol.Response) *protocol.Location {
	if resp.Version != nil {
		at = proto.CloneOf(at)
		at.Head, at.Version = false, resp.Version
	}
	return at
}

// pages asks for a listing to its end. partial says that there are clients of which
// it tells nothing.
func pages(ctx context.Context, c protocol.Client, req *protocol.Request) (all []*protocol.Entry, partial bool, err error) {
	for {
		resp, err := c.Do(ctx, proto.CloneOf(req)) // each page is a request of its own
		if err != nil {
			return nil, false, err
		}
		all, partial = append(all, resp.Entries...), partial || resp.Unloaded
		if req.After = resp.Next; len(req.After) == 0 {
			return all, partial, nil
		}
	}
}

// hinted gives a refusal of this status a hint that fits the command better
// than that of the table.
func (a *app) hinted(err error, status protocol.Status, hint string) error {
	var refused *protocol.Error
	if !errors.As(err, &refused) || refused.Status != status {
		return err
	}
	f := explainStatus(refused, a.peer != "")
	f.hint = hint
	return f
}

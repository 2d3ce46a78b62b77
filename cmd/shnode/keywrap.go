package main

import (
	"bytes"
	"context"
	"encoding/base64"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) keyWrapCommand() *cobra.Command {
	var under string
	cmd := &cobra.Command{
		Use:   "wrap LOC --under KEY",
		Short: "print a key in base64, wrapped under another",
		Long: `wrap encrypts the key at LOC under the aes-256 key at KEY (AES key wrap, RFC
3394). It asks for the right to extract LOC and to use KEY.

KEY must have been made with --flags may-wrap-others, and LOC with may-be-wrapped:
without these flags no key leaves. A KEY that somebody has known, because it was
imported, never wraps a LOC that nobody has.`,
		Example: `  shnode key generate wallet/wrap/main --type aes-256 --flags may-wrap-others
  shnode key generate wallet/keys/spare --type ed25519 --flags sign,may-be-wrapped
  shnode key wrap wallet/keys/spare --under wallet/wrap/main > spare.wrapped`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: onRecord(func(ctx context.Context, loc *protocol.Location, _ []string) error {
			kek, err := wrapsUnder(under)
			if err != nil {
				return err
			}
			return a.ask(ctx, func(c protocol.Client) error {
				resp, err := c.Do(ctx, &protocol.Request{Operation: "aes.wrap", Location: kek, Target: loc})
				if err != nil {
					return a.hinted(err, protocol.Status_WRONG_KIND, "`shnode key stat` tells the kind and the flags of both; `shnode key wrap --help` tells which it takes")
				}
				return a.print(map[string]string{"location": loc.Text(), "kind": resp.Kind, "wrapped": base64Text(resp.Wrapped)}, base64Text(resp.Wrapped))
			})
		}),
	}
	underFlag(cmd, &under)
	return cmd
}

func (a *app) keyUnwrapCommand() *cobra.Command {
	var under, kind string
	var to placing
	cmd := &cobra.Command{
		Use:   "unwrap LOC --under KEY --type T [FILE or -]",
		Short: "take in a key that was wrapped under another",
		Long: `unwrap reads what ` + "`shnode key wrap`" + ` printed, from a file or from stdin, and keeps
the key at LOC. It asks for the right to use KEY and to write LOC. The key is
taken for one that somebody has known.`,
		Example:     `  shnode key unwrap wallet/keys/back --under wallet/wrap/main --type ed25519 spare.wrapped`,
		Args:        takes(1, 2),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: onRecord(func(ctx context.Context, loc *protocol.Location, rest []string) error {
			kek, err := wrapsUnder(under)
			if err != nil {
				return err
			}
			req := &protocol.Request{Operation: "aes.unwrap", Location: kek, Target: loc}
			if err := to.fillAs(kind, req); err != nil {
				return err
			}
			text, err := a.read(ctx, "the wrapped key", fileOrStdin(rest), 2*protocol.MaxSecret)
			if err != nil {
				return err
			}
			if req.Wrapped, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text))); err != nil {
				return usage("the wrapped key is not base64", "give it as `shnode key wrap` printed it")
			}
			return a.ask(ctx, func(c protocol.Client) error {
				resp, err := c.Do(ctx, req)
				if err != nil {
					return err
				}
				return a.printMade(loc, resp)
			})
		}),
	}
	underFlag(cmd, &under)
	keyFlags(cmd, &kind, &to)
	return cmd
}

func underFlag(cmd *cobra.Command, under *string) {
	cmd.Flags().StringVar(under, "under", "", "the aes-256 key that wraps")
}

func wrapsUnder(under string) (*protocol.Location, error) {
	if under == "" {
		return nil, usage("--under is missing", "it names the aes-256 key that wraps")
	}
	return record(under)
}

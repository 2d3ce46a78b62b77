package main

import (
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) keyDeriveCommand() *cobra.Command {
	var path, kind string
	var to placing
	cmd := &cobra.Command{
		Use:   "derive FROM TO --path PATH",
		Short: "derive a key from a seed or a mnemonic, and print its public half in base64",
		Long: `derive makes the key that SLIP-0010 has at PATH below FROM, a seed, a mnemonic
or an extended key, and keeps it at TO. It asks for the right to use FROM and to
write TO. The same FROM and PATH always give the same key.

For Ed25519 every element of PATH is hardened: m/44'/4218'/0'. With --type
slip10-ed25519 the result is an extended key, to derive from in turn; it does
not sign.`,
		Example: `  shnode mnemonic generate wallet/seeds/main
  shnode key derive wallet/seeds/main wallet/keys/main --path "m/44'/4218'/0'"
  shnode key derive wallet/seeds/main wallet/keys/@head --path "m/44'/4218'/1'"`,
		Args:        takes(2, 2),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := record(args[0])
			if err != nil {
				return err
			}
			target, err := record(args[1])
			if err != nil {
				return err
			}
			if path == "" {
				return usage("--path is missing", "for example --path \"m/44'/4218'/0'\"")
			}
			if kind != protocol.Ed25519 && kind != protocol.Extended {
				return usage("--type: a derived key is not of this kind", "one of: "+protocol.Ed25519+", "+protocol.Extended)
			}
			req := &protocol.Request{Operation: "slip10.derive", Location: from, Target: target, Path: path, Kind: kind}
			if err := to.fill(req); err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				resp, err := c.Do(cmd.Context(), req)
				if err != nil {
					return a.hinted(err, protocol.Status_WRONG_KIND, "a key is derived from a seed, a mnemonic or a slip10-ed25519 key; `shnode key ls` tells the kind of each record")
				}
				return a.printMade(target, resp)
			})
		},
	}
	cmd.Flags().StringVar(&path, "path", "", "the way down from FROM, such as m/44'/4218'/0'")
	cmd.Flags().StringVar(&kind, "type", protocol.Ed25519, "what to make: "+protocol.Ed25519+" to sign with, "+protocol.Extended+" to derive from")
	to.flags(cmd)
	return cmd
}

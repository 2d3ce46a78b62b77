package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) keyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "key",
		Short: "keys, which sign and do not leave",
		Long: `A key is a record: it is named client/vault/record, like wallet/keys/main. Its
secret half stays in the zone.`,
		Example: `  shnode key generate wallet/keys/main --type ed25519
  shnode key public wallet/keys/main --format ssh
  shnode key ls wallet`,
	}, a.keyGenerateCommand(), a.keyImportCommand(), a.keyDeriveCommand(), a.keyPublicCommand(),
		a.keyListCommand(), a.keyVersionsCommand(), a.keyTypeCommand(), a.keyStatCommand(),
		a.keyDisableCommand(), a.keyEnableCommand(), a.keyCopyCommand(), a.keyMoveCommand(),
		a.keyWrapCommand(), a.keyUnwrapCommand(), a.keyRemoveCommand())
}

// keyFlags are those of commands that make a key.
func keyFlags(cmd *cobra.Command, kind *string, to *placing) {
	cmd.Flags().StringVar(kind, "type", "", "the key's kind: "+strings.Join(protocol.Kinds(), ", "))
	to.flags(cmd)
	cmd.Annotations = map[string]string{forPeers: "yes"}
}

// onRecord runs f on the record that the first argument names. rest are the others.
func onRecord(f func(ctx context.Context, loc *protocol.Location, rest []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		loc, err := record(args[0])
		if err != nil {
			return err
		}
		return f(cmd.Context(), loc, args[1:])
	}
}

// fillAs is fill for a key whose kind its maker says.
func (p *placing) fillAs(kind string, req *protocol.Request) error {
	if err := checkKind(kind); err != nil {
		return err
	}
	req.Kind = kind
	return p.fill(req)
}

func checkKind(kind string) error {
	hint := "one of: " + strings.Join(protocol.Kinds(), ", ")
	switch {
	case kind == "":
		return usage("--type is missing", hint)
	case !protocol.KnownKind(kind):
		return usage(fmt.Sprintf("there is no kind %q", kind), hint)
	}
	return nil
}

// publicKeyJSON is what --json tells of a key.
func publicKeyJSON(arg, kind string, public []byte) map[string]string {
	return map[string]string{"location": arg, "kind": kind, "public_key": base64Text(public)}
}

func (a *app) keyGenerateCommand() *cobra.Command {
	var kind string
	var size uint32
	var to placing
	cmd := &cobra.Command{
		Use:   "generate LOC --type T",
		Short: "make a key that never leaves, and print its public half in base64",
		Long: `generate makes a key of a kind: ed25519 to sign with, seed to derive keys from
(SLIP-0010), or aes-256 to encrypt with or to wrap other keys under. Where there
is no public half the location is printed. A mnemonic is made by 
` + "`shnode mnemonic generate`" + `, an extended key by ` + "`shnode key derive`" + `.

What is written to client/vault/@head is the next version of that vault.`,
		Example: `  shnode key generate wallet/keys/main --type ed25519
  shnode key generate wallet/rotating/@head --type ed25519 --hint "since May"
  shnode key generate wallet/seeds/main --type seed --size 32
  shnode key generate wallet/wrap/main --type aes-256 --flags may-wrap-others`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			if err := checkKind(kind); err != nil {
				return err
			}
			req := &protocol.Request{Operation: "key.generate", Location: loc, Kind: kind}
			switch {
			case kind == protocol.Seed:
				req.Operation, req.Kind, req.Size = "slip10.generate", "", size
			case cmd.Flags().Changed("size"):
				return usage("--size is for --type seed", "keys of the other kinds have one size")
			case kind == protocol.Mnemonic:
				return usage("a mnemonic is not made without somebody who reads it", "`shnode mnemonic generate` makes one")
			case kind != protocol.Ed25519 && kind != protocol.AES256:
				return usage("--type: nothing of this kind is generated", generateHints[kind])
			}
			if err := to.fill(req); err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				resp, err := c.Do(cmd.Context(), req)
				if err != nil {
					return err
				}
				return a.printMade(loc, resp)
			})
		},
	}
	keyFlags(cmd, &kind, &to)
	cmd.Flags().Uint32Var(&size, "size", 64, "of a seed, in bytes: 16 to 64")
	return cmd
}

// generateHints say how what is not generated comes to be.
var generateHints = map[string]string{
	protocol.Extended: "`shnode key derive FROM TO --type " + protocol.Extended + "` makes one",
	protocol.Data:     "`shnode key import` takes data in",
}

func (a *app) keyImportCommand() *cobra.Command {
	var kind, format string
	var to placing
	cmd := &cobra.Command{
		Use:   "import LOC --type T [FILE or -]",
		Short: "take in a key from outside, and print its public half in base64",
		Long: `import reads a secret key from a file, or from stdin, and seals it to the zone
before anything else sees it. The file stays where it is: it is a copy of the
key that nothing protects.

An ed25519 key is its seed of 32 bytes: raw, or with --format hex as 64 digits,
or with --format pem in a PKCS#8 or an OpenSSH file without a passphrase. A seed
is 16 to 64 bytes, a slip10-ed25519 key its private key and chain code, an aes-256
key 32 bytes, and data any bytes, at most 64 KiB: raw or hex. What has no public
half has its location printed. The words of a mnemonic go to
` + "`shnode mnemonic recover`" + `.`,
		Example: `  shnode key import wallet/keys/old --type ed25519 seed.bin
  shnode key import wallet/keys/ssh --type ed25519 --format pem ~/.ssh/id_ed25519`,
		Args: takes(1, 2),
		RunE: onRecord(func(ctx context.Context, loc *protocol.Location, rest []string) error {
			req := &protocol.Request{Id: protocol.NewID(), Operation: "key.import", Location: loc}
			if err := to.fillAs(kind, req); err != nil {
				return err
			}
			decode, err := importFormat(kind, format)
			if err != nil {
				return err
			}
			if len(rest) == 0 && isTerminal(a.stdin) {
				return usage("no key is given", "name the file that holds it, or - for stdin")
			}
			input, err := a.read(ctx, "the key", fileOrStdin(rest), maxKeyFile)
			if err != nil {
				return err
			}
			secret, err := decode(input)
			clear(input)
			if err != nil {
				return err
			}
			return a.importSecret(ctx, req, secret)
		}),
	}
	keyFlags(cmd, &kind, &to)
	cmd.Flags().StringVar(&format, "format", "raw", "how the key is written: raw, hex, pem")
	return cmd
}

// maxKeyFile is the longest file that a key is read from: the longest secret, in hexadecimal.
const maxKeyFile = 2*protocol.MaxSecret + 2

// importSecret takes secret over and wipes it.
func (a *app) importSecret(ctx context.Context, req *protocol.Request, secret []byte) error {
	locked, err := lockSecret(secret)
	if err != nil {
		return err
	}
	defer locked.Destroy()
	return a.ask(ctx, func(c protocol.Client) error {
		if err := seal(ctx, c, req, map[string][]byte{"secret": locked.Bytes()}); err != nil {
			return err
		}
		resp, err := c.Do(ctx, req)
		if err != nil {
			return err
		}
		return a.printMade(req.Location, resp)
	})
}

func (a *app) keyPublicCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "public LOC",
		Short: "print the public half of a key",
		Example: `  shnode key public wallet/keys/main
  shnode key public wallet/keys/main --format ssh >> allowed_signers`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			encode, ok := publicFormats[format]
			if !ok {
				return usage(fmt.Sprintf("--format %q is not known", format), "one of: base64, hex, pem, ssh")
			}
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				kind, public, err := c.PublicKey(cmd.Context(), loc)
				if err != nil {
					return err
				}
				text, err := encode(kind, public)
				if err != nil {
					return err
				}
				out := publicKeyJSON(args[0], kind, public)
				if format != "base64" {
					out[format] = text
				}
				return a.print(out, strings.TrimSuffix(text, "\n"))
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "base64", "how to write it: base64, hex, pem (PKIX), ssh")
	return cmd
}

func (a *app) keyListCommand() *cobra.Command {
	var hint string
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "list records, in the order of their names",
		Long: `ls lists the records below PREFIX, which is a client or client/vault, or all.
Of a peer it lists what the policy there lets this node see.`,
		Example: `  shnode key ls
  shnode key ls wallet/keys --json
  shnode key ls --hint "since May"`,
		Args:        takes(0, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			var below *protocol.Location
			if len(args) == 1 {
				var err error
				if below, err = prefix(args[0]); err != nil {
					return err
				}
			}
			if len(hint) > protocol.MaxHint {
				return usage(fmt.Sprintf("--hint is at most %d bytes", protocol.MaxHint), "")
			}
			req := &protocol.Request{Operation: "record.list", Location: below, Hint: []byte(hint)}
			var entries []*protocol.Entry
			var partial bool
			err := a.ask(cmd.Context(), func(c protocol.Client) (err error) {
				entries, partial, err = pages(cmd.Context(), c, req)
				return a.hinted(err, protocol.Status_NOT_FOUND, "there is no such client: `shnode key ls` tells what there is")
			})
			if err != nil {
				return err
			}
			if partial {
				a.talkf("there are clients that are not loaded: `shnode client ls` tells which")
			}
			return a.printEntries(entries)
		},
	}
	cmd.Flags().StringVar(&hint, "hint", "", "only records with exactly this hint")
	return cmd
}

func (a *app) printEntries(entries []*protocol.Entry) error {
	type line struct {
		Location string   `json:"location"`
		Kind     string   `json:"kind"`
		Hint     string   `json:"hint,omitempty"`
		Created  string   `json:"created,omitempty"` // RFC 3339
		Changed  string   `json:"changed,omitempty"`
		Flags    []string `json:"flags,omitempty"`
	}
	lines := make([]line, len(entries))
	for i, e := range entries {
		l := line{Location: e.Location.Text(), Kind: e.Kind, Hint: hintText(e), Flags: e.Flags}
		if e.CreatedMs != 0 {
			l.Created = moment(e.CreatedMs)
		}
		if e.ChangedMs != 0 {
			l.Changed = moment(e.ChangedMs)
		}
		lines[i] = l
	}
	slices.SortFunc(lines, func(x, y line) int { return strings.Compare(x.Location, y.Location) })
	if a.json {
		for _, l := range lines {
			if err := a.printJSON(l); err != nil {
				return err
			}
		}
		return nil
	}
	if len(lines) == 0 {
		a.talkf("no records")
		return nil
	}
	rows := [][]string{{"LOCATION", "KIND", "CREATED"}}
	for _, l := range lines {
		rows = append(rows, []string{l.Location, kindText(l.Kind, l.Flags), l.Created})
		if l.Hint != "" {
			rows[0] = hintedHeading
			rows[len(rows)-1] = append(rows[len(rows)-1], l.Hint)
		}
	}
	return a.table(rows)
}

// kindText is a record's kind, and whether it is of use.
func kindText(kind string, flags []string) string {
	if slices.Contains(flags, protocol.FlagDisabled) {
		kind += ", disabled"
	}
	return kind
}

func (a *app) keyRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "rm LOC",
		Short:       "revoke a record and wipe it, for good",
		Example:     `  shnode key rm wallet/keys/old`,
		Args:        takes(1, 1),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				if err := c.Revoke(cmd.Context(), loc); err != nil {
					return err
				}
				a.talkf("removed %s", loc.Text())
				return a.printIf(map[string]string{"removed": loc.Text()})
			})
		},
	}
}

package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) signCommand() *cobra.Command {
	var out string
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "sign LOC [FILE]",
		Short: "sign a file, or stdin, with an Ed25519 key",
		Long: `sign prints the signature (RFC 8032) in base64, or writes its 64 bytes to the
file that --out names. The message goes to the node as it is, so it has to fit a
request: a little less than 1 MiB.`,
		Example: `  shnode sign wallet/keys/main letter.txt
  shnode sign wallet/keys/main --out letter.sig < letter.txt
  shnode sign --peer laptop wallet/keys/main letter.txt`,
		Args:        takes(1, 2),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			if err := mayWrite(out, overwrite); err != nil {
				return err
			}
			message, err := a.message(ctx, args[1:], protocol.MaxFrame)
			if errors.As(err, new(*tooMuch)) {
				return errMessageTooLong
			}
			if err != nil {
				return err
			}
			return a.ask(ctx, func(c protocol.Client) error {
				sig, err := c.Sign(ctx, loc, message)
				if errors.Is(err, protocol.ErrFrameTooLong) {
					return errMessageTooLong
				}
				if err != nil {
					return err
				}
				if out == "" {
					return a.print(map[string]string{"signature": base64Text(sig)}, base64Text(sig))
				}
				if err := writeFile(out, sig, overwrite); err != nil {
					return err
				}
				return a.printIf(map[string]string{"signature": base64Text(sig), "out": out})
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the 64 bytes of the signature to this file")
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace the file that is there")
	return cmd
}

var errMessageTooLong = failed("too_long", "the message is too long: with what goes around it, a request holds at most 1 MiB",
	"sign a digest of it, and have whoever verifies make the same one: `sha256sum < FILE | shnode sign LOC`")

// message reads what is to be signed or verified.
func (a *app) message(ctx context.Context, args []string, limit int) ([]byte, error) {
	file := fileOrStdin(args)
	if file == "-" && isTerminal(a.stdin) {
		a.talkf("type the message, and end it with Ctrl-D on a line of its own")
	}
	return a.read(ctx, "the message", file, limit)
}

// mayWrite looks whether writeFile would refuse, before any work is done.
func mayWrite(path string, overwrite bool) error {
	if path == "" || overwrite {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return existing(path)
	}
	return nil
}

func existing(path string) error {
	return failed("exists", path+" exists already", "replace it with --overwrite")
}

// writeFile writes what is no secret. Without overwrite it never replaces a file.
func writeFile(path string, b []byte, overwrite bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if overwrite {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return existing(path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func (a *app) verifyCommand() *cobra.Command {
	var key, signature string
	cmd := &cobra.Command{
		Use:   "verify --public-key K --signature S [FILE]",
		Short: "hold an Ed25519 signature against a file, or stdin; asks no node",
		Long: `verify ends with 0 if the signature was made over exactly this message with the
secret half of this key, and with 1 if not. K is base64, hex, PEM or an ssh
line, S base64; @FILE takes either from a file, the raw bytes too.`,
		Example: `  shnode verify --public-key "$(shnode key public wallet/keys/main)" \
    --signature @letter.sig letter.txt`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if key == "" || signature == "" {
				return usage("--public-key and --signature are needed", "usage: "+cmd.UseLine())
			}
			b, err := a.value(ctx, "--public-key", key)
			if err != nil {
				return err
			}
			public, err := parsePublicKey(b)
			if err != nil {
				return err
			}
			if b, err = a.value(ctx, "--signature", signature); err != nil {
				return err
			}
			sig, err := parseSignature(b)
			if err != nil {
				return err
			}
			message, err := a.message(ctx, args, maxVerify)
			if err != nil {
				return err
			}
			return a.verdict(ed25519.Verify(public, message, sig))
		},
	}
	cmd.Flags().StringVar(&key, "public-key", "", "the public key, as `shnode key public` prints it")
	cmd.Flags().StringVar(&signature, "signature", "", "the signature, as `shnode sign` prints it")
	return cmd
}

// maxVerify bounds what verify holds in memory. Other signers take longer
// messages than a request here.
const maxVerify = 1 << 30

func (a *app) verdict(verified bool) error {
	if !verified && !a.json {
		return failed("not_verified", "the signature does not fit this message and this key", "")
	}
	if !verified {
		if err := a.printJSON(map[string]bool{"verified": false}); err != nil {
			return err
		}
		return answeredNo(exitFailed)
	}
	if a.json {
		return a.printJSON(map[string]bool{"verified": true})
	}
	if !a.quiet {
		fmt.Fprintln(a.stdout, "verified")
	}
	return nil
}

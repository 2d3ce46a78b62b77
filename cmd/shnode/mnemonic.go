package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) mnemonicCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "mnemonic",
		Short: "wallets that a person can write down (BIP 39)",
		Long: `A mnemonic is 12 to 24 words that a wallet's keys are derived from. Whoever has
the words has the keys.`,
		Example: `  shnode mnemonic generate wallet/seeds/main
  shnode mnemonic recover wallet/seeds/main
  shnode key derive wallet/seeds/main wallet/keys/main --path "m/44'/4218'/0'"`,
	}, a.mnemonicGenerateCommand(), a.mnemonicRecoverCommand())
}

// mnemonicFlags are those of both commands. A mnemonic's own passphrase is no
// part of the words: another passphrase makes another wallet of them.
type mnemonicFlags struct {
	placing
	language       string
	passphraseFile string
	askPassphrase  bool
}

func (m *mnemonicFlags) flags(cmd *cobra.Command) {
	m.placing.flags(cmd)
	cmd.Flags().StringVar(&m.language, "language", "english", "of the words: english or japanese")
	cmd.Flags().StringVar(&m.passphraseFile, "bip39-passphrase-file", "", "read the mnemonic's own passphrase from this file, or - for stdin; without one it is empty")
	cmd.Flags().BoolVar(&m.askPassphrase, "ask-bip39-passphrase", false, "ask for the mnemonic's own passphrase on the terminal")
}

// request begins the request.
func (m *mnemonicFlags) request(operation string, loc *protocol.Location) (*protocol.Request, error) {
	req := &protocol.Request{Id: protocol.NewID(), Operation: operation, Location: loc, Language: m.language}
	if !slices.Contains([]string{"english", "japanese"}, m.language) {
		return nil, usage("--language is english or japanese", "")
	}
	if m.askPassphrase && m.passphraseFile != "" {
		return nil, usage("--bip39-passphrase-file and --ask-bip39-passphrase do not go together", "")
	}
	return req, m.fill(req)
}

// passphrase is the mnemonic's own; nil if there is none. The caller destroys it.
func (m *mnemonicFlags) passphrase(ctx context.Context, a *app, isNew bool) (*memguard.LockedBuffer, error) {
	var b []byte
	var err error
	switch {
	case m.passphraseFile != "":
		b, err = a.readPassphraseFile(ctx, m.passphraseFile)
	case m.askPassphrase:
		b, err = a.typePassphrase(ctx, "the mnemonic's own passphrase:", isNew)
		if errors.Is(err, errNoTerminal) {
			err = usage("there is no terminal to ask for the mnemonic's passphrase", "name a file that holds it with --bip39-passphrase-file FILE")
		}
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, usage("the mnemonic's passphrase is empty", "a mnemonic without one takes neither --bip39-passphrase-file nor --ask-bip39-passphrase")
	}
	if err := typeable(b, false); err != nil { // when words are recovered, too: any passphrase makes a wallet of them
		return nil, err
	}
	return lockSecret(b)
}

func (a *app) mnemonicGenerateCommand() *cobra.Command {
	var m mnemonicFlags
	var words int
	var out string
	cmd := &cobra.Command{
		Use:   "generate LOC",
		Short: "make a mnemonic, show its words once, and keep the seed of it",
		Long: `generate makes a mnemonic and keeps it, with the seed of it, as a record that
keys are derived from. The words are shown once: on the terminal, or in a new
file that only you can read (--out). They come from the zone sealed to this
command; no log, and no other process, sees them. Nobody can ask for them again.

The words alone do not bring a wallet back that has a passphrase of its own. It
is asked of the user of this machine; no peer can.`,
		Example: `  shnode mnemonic generate wallet/seeds/main
  shnode mnemonic generate wallet/seeds/main --words 12 --ask-bip39-passphrase
  shnode mnemonic generate wallet/seeds/spare --out /media/usb/words.txt`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			if words < 12 || words > 24 || words%3 != 0 {
				return usage("--words is 12, 15, 18, 21 or 24", "")
			}
			req, err := m.request("bip39.generate", loc)
			if err != nil {
				return err
			}
			req.Size = uint32(words / 3 * 4) // 11 bits a word, one of each 33 for the checksum
			to, err := a.reveal("a mnemonic", out)
			if err != nil {
				return err
			}
			defer to.abandon()
			passphrase, err := m.passphrase(ctx, a, true)
			if err != nil {
				return err
			}
			secrets := map[string][]byte{}
			if passphrase != nil {
				defer passphrase.Destroy()
				secrets["passphrase"] = passphrase.Bytes()
			}
			return a.ask(ctx, func(c protocol.Client) error {
				if err := seal(ctx, c, req, secrets); err != nil {
					return err
				}
				return a.generateMnemonic(ctx, c, req, to)
			})
		},
	}
	m.flags(cmd)
	cmd.Flags().IntVar(&words, "words", 24, "how many: 12, 15, 18, 21 or 24")
	cmd.Flags().StringVar(&out, "out", "", "write the words to this new file instead of the terminal")
	return cmd
}

func (a *app) generateMnemonic(ctx context.Context, c protocol.Client, req *protocol.Request, to *reveal) error {
	resp, words, err := askSealed(ctx, c, req)
	if err != nil {
		return err
	}
	defer clear(words)
	at := written(req.Location, resp)
	if err := to.show(words); err != nil {
		return fmt.Errorf("the mnemonic at %s is made, and its words are lost: remove it; %w", at.Text(), err)
	}
	report := map[string]any{"location": at.Text(), "kind": resp.Kind}
	if resp.Version != nil {
		report["version"] = *resp.Version
	}
	switch {
	case to.path != "":
		report["out"] = to.path
		a.talkf("the words are in %s; keep them where nobody finds them, and that file nowhere", to.path)
	case a.json:
		report["mnemonic"] = string(words)
	default:
		a.talkf("write these words down: they bring the wallet back, for you and for whoever else has them")
		a.talkf("they are not shown again; the seed is at %s", at.Text())
	}
	return a.printIf(report)
}

func (a *app) mnemonicRecoverCommand() *cobra.Command {
	var m mnemonicFlags
	cmd := &cobra.Command{
		Use:   "recover LOC [FILE or -]",
		Short: "take in the words of a mnemonic, and keep the seed of it",
		Long: `recover asks for the words on the terminal, or reads them from a file or stdin,
and keeps the mnemonic as a record to derive keys from. The words are sealed to
the zone before anything else sees them. A word that is none, and words whose
checksum does not fit, are refused; a wrong passphrase is not known to be wrong,
it brings back another wallet.`,
		Example: `  shnode mnemonic recover wallet/seeds/main
  shnode mnemonic recover wallet/seeds/main /media/usb/words.txt
  pass show wallet | shnode mnemonic recover --peer signer wallet/seeds/main -`,
		Args:        takes(1, 2),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			req, err := m.request("bip39.recover", loc)
			if err != nil {
				return err
			}
			words, err := a.readWords(ctx, args[1:])
			if err != nil {
				return err
			}
			defer words.Destroy()
			secrets := map[string][]byte{"secret": words.Bytes()}
			passphrase, err := m.passphrase(ctx, a, false)
			if err != nil {
				return err
			}
			if passphrase != nil {
				defer passphrase.Destroy()
				secrets["passphrase"] = passphrase.Bytes()
			}
			return a.ask(ctx, func(c protocol.Client) error {
				if err := seal(ctx, c, req, secrets); err != nil {
					return err
				}
				resp, err := c.Do(ctx, req)
				if refused := (*protocol.Error)(nil); errors.As(err, &refused) && refused.Field == "secret" {
					return a.hinted(err, protocol.Status_INVALID, "are they all there, in their order, and in the language that --language says?")
				}
				if err != nil {
					return err
				}
				return a.printMade(loc, resp)
			})
		},
	}
	m.flags(cmd)
	return cmd
}

// readWords gets the words of a mnemonic.
func (a *app) readWords(ctx context.Context, args []string) (*memguard.LockedBuffer, error) {
	var b []byte
	var err error
	switch {
	case len(args) == 0 && isTerminal(a.stdin):
		b, err = readSecret(ctx, "the words of the mnemonic:")
	default:
		b, err = a.read(ctx, "the mnemonic", fileOrStdin(args), maxText)
	}
	if err != nil {
		return nil, err
	}
	defer clear(b)
	words := oneSpace(b)
	if len(words) == 0 {
		return nil, usage("no mnemonic is given", "type its words at a terminal, or name the file that holds them, or - for stdin")
	}
	return lockSecret(words)
}

// oneSpace is the words of a mnemonic with one space between them, and none around
// them: its seed is made of that. Phones begin with a capital, documents may have all
// of them, and editors put a mark before UTF-8; no word of BIP 39 has either.
func oneSpace(b []byte) []byte {
	b = bytes.ToLower(bytes.TrimPrefix(b, []byte("\ufeff")))
	defer clear(b)
	return bytes.Join(bytes.Fields(b), []byte(" "))
}

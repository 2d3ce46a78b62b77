package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) slotCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "slot",
		Short: "what opens the snapshot: passphrases and keys",
		Long: `A snapshot has 1 to 32 key slots, and each of them opens it: for a passphrase, for
an identity of age, or for a key of 32 bytes without any hash, for machines.`,
		Example: `  shnode snapshot slot ls
  shnode snapshot slot add --new-passphrase-file second
  shnode snapshot slot rm 1`,
	}, a.slotListCommand(), a.slotAddCommand(), a.slotRemoveCommand())
}

// slotInfo is a slot as scripts see it.
type slotInfo struct {
	Number    uint32 `json:"number"`
	Kind      string `json:"kind"`
	Cost      uint32 `json:"cost,omitempty"` // of a passphrase: scrypt, log2 N
	Label     string `json:"label,omitempty"`
	Created   string `json:"created,omitempty"`
	Recipient string `json:"recipient,omitempty"` // of age; not of a passphrase
}

func slotInfoOf(s *protocol.Slot) slotInfo {
	info := slotInfo{Number: s.Number, Kind: s.Kind, Cost: s.Cost, Label: s.Label}
	if s.CreatedMs != 0 {
		info.Created = time.UnixMilli(int64(s.CreatedMs)).UTC().Format(time.RFC3339)
	}
	if s.Kind != "passphrase" {
		info.Recipient = s.Recipient
	}
	return info
}

// row is the slot for people, who tell a recipient by its beginning.
func (s slotInfo) row() []string {
	what := s.Kind
	if s.Cost != 0 {
		what += fmt.Sprintf(", cost %d", s.Cost)
	}
	if s.Recipient != "" {
		what += " " + s.Recipient[:min(len(s.Recipient), 24)]
		if len(s.Recipient) > 24 {
			what += "…"
		}
	}
	return []string{strconv.Itoa(int(s.Number)), what, s.Created, printable(s.Label)}
}

func (a *app) slotListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list what opens the snapshot",
		Example: `  shnode snapshot slot ls`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				resp, err := c.Do(cmd.Context(), &protocol.Request{Operation: "slot.list"})
				if err != nil {
					return err
				}
				var rows [][]string
				var slots []slotInfo
				for _, s := range resp.Slots {
					info := slotInfoOf(s)
					slots, rows = append(slots, info), append(rows, info.row())
				}
				if a.json {
					return a.printJSON(map[string]any{"slots": slots})
				}
				return a.table(rows)
			})
		},
	}
}

func (a *app) slotAddCommand() *cobra.Command {
	var newFile string
	p := new(protocol.Proof)
	cmd := &cobra.Command{
		Use:   "add [--new-passphrase-file FILE | --recipient AGE]",
		Short: "let another passphrase or key open the snapshot",
		Long: `add takes a passphrase or key that opens the snapshot, from --passphrase-file or the
terminal, and the new one, from --new-passphrase-file or the terminal. If both
--passphrase-file and $SHNODE_PASSPHRASE_FILE are given and nothing else, the
variable names the one that opens the snapshot, and the flag the new one.

A file that holds an identity of age (AGE-SECRET-KEY-…) or a raw key
(STRONGHOLD-KEY- and 64 hexadecimal digits) is that key, and no passphrase: both
open the snapshot without a password hash. --recipient takes the public half of
an identity (age1… or age1pq1…), which does not have to be here.`,
		Example: `  shnode snapshot slot add --new-passphrase-file second
  shnode snapshot slot add --recipient age1… --label backup`,
		Args: takes(0, 0),
	}
	flags := cmd.Flags()
	flags.StringVar(&newFile, "new-passphrase-file", "", "read the new passphrase or key from this file, or - for stdin")
	flags.StringVar(&p.Recipient, "recipient", "", "the public key of an age identity that is to open it")
	flags.StringVar(&p.Label, "label", "", "what to call the slot, at most 64 bytes")
	flags.Uint32Var(&p.Cost, "cost", 0, costHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		if err := checkCost(int(p.Cost)); err != nil {
			return err
		}
		if p.Recipient != "" && newFile != "" {
			return usage("--recipient does not go with --new-passphrase-file", "a slot is for one of them; add them one after the other")
		}
		if env := os.Getenv("SHNODE_PASSPHRASE_FILE"); p.Recipient == "" && newFile == "" && env != "" && cmd.Flags().Changed("passphrase-file") {
			newFile, a.passphraseFile = a.passphraseFile, env
		}
		resp, err := a.prove(ctx, cmd, &protocol.Request{Operation: "slot.add"}, p, func() (*memguard.LockedBuffer, error) {
			if p.Recipient != "" {
				return nil, nil
			}
			return a.newPassphrase(ctx, newFile, "the new passphrase:", true)
		})
		if err != nil {
			return err
		}
		for _, s := range resp.Slots {
			info := slotInfoOf(s)
			a.talkf("added slot %d", info.Number)
			return a.printIf(info)
		}
		return nil
	}
	return cmd
}

func (a *app) slotRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NUMBER",
		Short: "take a slot away, and encrypt everything anew",
		Long: `rm takes the slot of this number away and encrypts the snapshot anew under a new
root key: whoever had the slot opens none of what is written from now on. Copies
from before he still opens. It takes a passphrase or key of any slot. The last
slot stays.`,
		Example: `  shnode snapshot slot rm 2`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 8)
			if err != nil || n == 0 {
				return usage("a slot's number is 1 to 255", "`shnode snapshot slot ls` tells which there are")
			}
			if _, err := a.prove(cmd.Context(), cmd, &protocol.Request{Operation: "slot.remove"}, &protocol.Proof{Slot: uint32(n)}, nil); err != nil {
				return err
			}
			a.talkf("removed slot %d; copies from before still open with it", n)
			return a.printIf(map[string]uint64{"removed": n})
		},
	}
}

func (a *app) rekeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rekey",
		Short: "encrypt everything anew under a new root key",
		Long: `rekey makes a new root key and encrypts the snapshot anew. The same passphrases and
keys open it. It takes one of them, also while the home is unlocked. Copies from
before stay as they are.`,
		Example: `  shnode snapshot rekey`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.prove(cmd.Context(), cmd, &protocol.Request{Operation: "snapshot.rekey"}, new(protocol.Proof), nil); err != nil {
				return err
			}
			a.talkf("encrypted anew under a new root key")
			return a.printIf(map[string]bool{"rekeyed": true})
		},
	}
}

// prove asks for what takes a proof: a passphrase or key that opens the snapshot,
// sealed together with all that matters of the request. fresh, if any, gets the
// new passphrase.
func (a *app) prove(ctx context.Context, cmd *cobra.Command, req *protocol.Request, p *protocol.Proof, fresh func() (*memguard.LockedBuffer, error)) (*protocol.Response, error) {
	if !cmd.Flags().Changed("timeout") {
		a.timeout = foreignTimeout
	}
	key, err := a.passphrase(ctx, false)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	p.Key = key.Bytes()
	if fresh != nil {
		buffer, err := fresh()
		if err != nil {
			return nil, err
		}
		if buffer != nil {
			defer buffer.Destroy()
			p.NewKey = buffer.Bytes()
		}
	}
	var resp *protocol.Response
	err = a.ask(ctx, func(c protocol.Client) error {
		if err := sealProof(ctx, c, req, p); err != nil {
			return err
		}
		resp, err = c.Do(ctx, req)
		return a.proofHint(err)
	})
	return resp, err
}

func (a *app) proofHint(err error) error {
	err = a.hinted(err, protocol.Status_WRONG_KEY, "it takes a passphrase or key that opens the snapshot, also while it is unlocked; nothing was changed")
	return a.hinted(err, protocol.Status_INVALID, "`shnode help snapshot` tells more; nothing was changed")
}

// sealProof seals the proof for req.
func sealProof(ctx context.Context, c protocol.Client, req *protocol.Request, p *protocol.Proof) error {
	zone, err := c.Do(ctx, &protocol.Request{Operation: "zone.key"})
	if err != nil {
		return err
	}
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	if req.Secret, err = protocol.SealProof(zone.PublicKey, req, p); err != nil {
		return fmt.Errorf("the zone's key: %w", err)
	}
	return nil
}

// newPassphrase gets a second passphrase, or key if there may be one: from the file,
// else from the terminal, twice.
func (a *app) newPassphrase(ctx context.Context, file, prompt string, keys bool) (*memguard.LockedBuffer, error) {
	var b []byte
	var err error
	if file != "" {
		b, err = a.readPassphraseFile(ctx, file)
	} else {
		b, err = a.typePassphrase(ctx, prompt, true)
	}
	switch {
	case errors.Is(err, errNoTerminal):
		return nil, usage("there is no terminal to ask for the new passphrase", "name a file that holds it with --new-passphrase-file FILE, or - for stdin")
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, usage("the new passphrase is empty", "")
	}
	if err := typeable(b, keys); err != nil {
		return nil, err
	}
	return lockSecret(b)
}

const costHelp = "log2 of the work to test the new passphrase, 17 to 22 (default: what takes about half a second here)"

func checkCost(cost int) error {
	if cost != 0 && (cost < minCost || cost > maxCost) {
		return usage("--cost is 17 to 22", "each step doubles the time and memory that unlocking takes; 17 takes 128 MiB")
	}
	return nil
}

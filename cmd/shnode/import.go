package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

// foreignTimeout is how long bringing a file in, or giving one out, may take if
// nobody says: its password hash may have to be computed in several ways.
const foreignTimeout = 2 * time.Minute

func (a *app) snapshotImportCommand() *cobra.Command {
	var saltFile string
	req := &protocol.Request{Operation: "snapshot.import"}
	cmd := &cobra.Command{
		Use:   "import OLD [--from KIND]",
		Short: "take in all that a file of the Rust Stronghold holds",
		Long: `import reads a file that IOTA Stronghold 0.2 to 2.x has written (versions 1.0, 2.0
and 3.0) and adds what it holds: clients, vaults, records, which of them are
revoked, and stores. All of it comes, or nothing. The file is not changed.

The file's own password comes from --passphrase-file or the terminal. How a key
was made of it, each program decided for itself. --from names the program:

  wallet.rs   wallet.rs and Firefly
  tauri       tauri-plugin-stronghold; it kept a salt beside the file: --salt-file
  iota-sdk    iota-sdk
  cli         the command lines and bindings of Stronghold itself
  raw         no hash: the password is the key, as 32 bytes or 64 hex digits

Without --from all of these are tried, and the one that fits is told.

Old files hold ids and no names. A record is found by its old path all the same,
and listed by it from then on; until then it is listed as id:…. What a record is
the file does not say either: it is "untyped", and of no use until
` + "`shnode key type`" + ` says what it is. The paths and the seed of iota-sdk and
wallet.rs are known.`,
		Example: `  shnode snapshot import wallet.stronghold --from iota-sdk --dry-run
  shnode snapshot import vault.hold --from tauri --salt-file salt.txt`,
		Args: takes(1, 1),
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Format, "from", "", "what wrote it: "+strings.Join(foreignPrograms, ", "))
	flags.StringVar(&saltFile, "salt-file", "", "the salt that the program kept beside the file")
	flags.BoolVar(&req.DryRun, "dry-run", false, "tell what would come, and change nothing")
	flags.BoolVar(&req.Overwrite, "overwrite", false, "replace the records and values that are there, for good")
	flags.BoolVar(&req.SkipLarge, "skip-large", false, "leave out what is larger than 64 KiB, and tell what that is")
	flags.Uint32Var(&req.Cost, "max-cost", 20, "the highest work factor to pay, for all ways that are tried together: 20 takes 1 GiB of memory, 23 takes 8 GiB")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if !cmd.Flags().Changed("timeout") {
			a.timeout = foreignTimeout
		}
		if req.Cost == 0 || req.Cost > 23 {
			return usage("--max-cost is 1 to 23", "each step doubles the time and memory; the Rust program wrote 19")
		}
		if req.Format != "" && !slices.Contains(foreignPrograms, req.Format) {
			return usage("--from names no program that is known", "one of: "+strings.Join(foreignPrograms, ", "))
		}
		var err error
		if saltFile != "" {
			if req.Salt, err = a.read(ctx, "the salt", saltFile, protocol.MaxSalt); err != nil {
				return err
			}
		}
		file, err := a.open("the file", args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		return a.importFile(ctx, args[0], file, req)
	}
	return cmd
}

var foreignPrograms = []string{"wallet.rs", "tauri", "iota-sdk", "cli", "raw"}

func (a *app) importFile(ctx context.Context, name string, file io.Reader, req *protocol.Request) error {
	password, err := a.filePassword(ctx, "the password of "+printable(name)+":")
	if err != nil {
		return err
	}
	defer password.Destroy()
	return a.ask(ctx, func(c protocol.Client) error {
		resp, err := a.sendFile(ctx, c, file, req, password.Bytes())
		if err != nil {
			return importHint(err)
		}
		return a.printImported(resp.GetImported(), req.DryRun)
	})
}

// sendFile sends the file in parts, the last one as last, with the sealed password.
func (a *app) sendFile(ctx context.Context, c protocol.Client, file io.Reader, last *protocol.Request, password []byte) (*protocol.Response, error) {
	last.Id = protocol.NewID()
	next := make([]byte, protocol.MaxPart)
	n, err := a.fill(ctx, file, next)
	for {
		if err != nil {
			return nil, err
		}
		part := next[:n:n]
		if n == protocol.MaxPart {
			next = make([]byte, protocol.MaxPart)
			if n, err = a.fill(ctx, file, next); err != nil {
				return nil, err
			}
		} else {
			n = 0
		}
		if n == 0 {
			last.Snapshot = part
			if err := seal(ctx, c, last, map[string][]byte{"secret": password}); err != nil {
				return nil, err
			}
			return c.Do(ctx, last)
		}
		req := &protocol.Request{Id: last.Id, Operation: last.Operation, Snapshot: part, Offset: last.Offset, More: true}
		if _, err := c.Do(ctx, req); err != nil {
			return nil, err
		}
		last.Offset += uint64(len(part))
	}
}

// fill reads until b is full or the file ends, which is no error.
func (a *app) fill(ctx context.Context, r io.Reader, b []byte) (int, error) {
	got, err := await(ctx, func() ([]byte, error) {
		n, err := io.ReadFull(r, b)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
		return b[:n], err
	})
	return len(got), err
}

// importHint says what to do about a file that did not come.
func importHint(err error) error {
	var refused *protocol.Error
	if !errors.As(err, &refused) {
		return err
	}
	f := explainStatus(refused, false)
	switch refused.Status {
	case protocol.Status_EXISTS:
		f.hint = "nothing was changed; bring it into a home of its own, or replace for good what is here with --overwrite"
	case protocol.Status_WRONG_KEY:
		f.hint = "nothing was changed; --from names the program that wrote the file, and --salt-file the salt of Tauri's plugin; --max-cost N lets more ways be tried. A damaged file of version 1.0 or 2.0 looks the same"
	case protocol.Status_NOT_A_SNAPSHOT:
		f.hint = "a file of the Rust Stronghold begins with PARTI; is this the right one?"
	case protocol.Status_UNSUPPORTED_VERSION:
		f.hint = "versions 1.0, 2.0 and 3.0 come in; 4.0 is a snapshot of this program, which is restored and not imported"
	case protocol.Status_DAMAGED:
		f.hint = "nothing was changed; try another copy of the file"
	case protocol.Status_TOO_EXPENSIVE:
		f.hint = "allow more with --max-cost N: 2^N KiB of memory, 20 if nothing is said"
	case protocol.Status_NO_SPACE:
		f.hint = "nothing was changed; --skip-large leaves out what does not fit, and tells what that is"
	}
	return f
}

func (a *app) printImported(im *protocol.Imported, dry bool) error {
	if a.json {
		return a.printJSON(importedJSON(im, dry))
	}
	version := "version " + im.GetVersion()
	if im.GetWorkFactor() > 0 {
		version += fmt.Sprintf(", work factor %d", im.WorkFactor)
	}
	for _, at := range im.GetAttempts() {
		switch {
		case !at.Tried:
			a.talkf("not tried: %s: %s", at.Name, at.Note)
		case at != im.Attempts[len(im.Attempts)-1]:
			a.talkf("does not fit: %s (%s)", at.Name, at.Format)
		default:
			version += ", password by " + at.Name + " (" + at.Format + ")"
		}
	}
	a.talkf("%s", version)
	rows := [][]string{{"LOCATION", "RECORDS", "REVOKED", "VALUES", "NOTE"}}
	for _, p := range im.GetParts() {
		c := p.GetCounts()
		rows = append(rows, []string{p.GetLocation().Text(), fmt.Sprint(c.GetRecords()), fmt.Sprint(c.GetRevoked()), fmt.Sprint(c.GetEntries()), notes(c)})
	}
	if err := a.table(rows); err != nil {
		return err
	}
	if im.GetMoreParts() {
		a.talkf("and other vaults, which are too many to tell")
	}
	for _, l := range im.GetLeftOut() {
		a.warnf("left out: %s, %d bytes", l.GetLocation().Text(), l.GetSize())
	}
	did := "came"
	if dry {
		did = "would come"
	}
	t := im.GetTotal()
	a.talkf("%s: %s, %d of a known kind; %d revoked; %s", did, some(t.GetRecords(), "record"), t.GetTyped(), t.GetRevoked(), some(t.GetEntries(), "value"))
	if text := notes(&protocol.ImportCounts{Expired: t.GetExpired(), EmptyVaults: t.GetEmptyVaults(), Garbage: t.GetGarbage(), LeftOut: t.GetLeftOut()}); text != "" {
		a.talkf("not brought: %s", text)
	}
	if n := t.GetConflicts(); n > 0 {
		a.warnf("%d of them are here already: without --overwrite nothing comes", n)
	}
	if t.GetRecords() > t.GetTyped() {
		a.hint("`shnode key type LOC KIND` says what a record is, so that it can be used")
	}
	return nil
}

// some is a number of things.
func some(n uint64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// notes are the counts that are seldom other than zero.
func notes(c *protocol.ImportCounts) string {
	var out []string
	for _, n := range []struct {
		n    uint64
		what string
	}{{c.GetTyped(), "of a known kind"}, {c.GetConflicts(), "here already"}, {c.GetExpired(), "expired"}, {c.GetLeftOut(), "too large"},
		{c.GetEmptyVaults(), "vaults without records"}, {c.GetGarbage(), "older values"}} {
		if n.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n.n, n.what))
		}
	}
	return strings.Join(out, ", ")
}

func importedJSON(im *protocol.Imported, dry bool) any {
	type attempt struct {
		Name  string `json:"name"`
		From  string `json:"from"`
		Tried bool   `json:"tried"`
		Fits  bool   `json:"fits"`
		Note  string `json:"note,omitempty"`
	}
	type counts struct {
		Clients     uint64 `json:"clients,omitempty"`
		Vaults      uint64 `json:"vaults,omitempty"`
		Records     uint64 `json:"records"`
		Typed       uint64 `json:"typed"`
		Revoked     uint64 `json:"revoked"`
		Values      uint64 `json:"values"`
		Expired     uint64 `json:"expired,omitempty"`
		LeftOut     uint64 `json:"left_out,omitempty"`
		EmptyVaults uint64 `json:"empty_vaults,omitempty"`
		Garbage     uint64 `json:"older_values,omitempty"`
		Conflicts   uint64 `json:"conflicts,omitempty"`
	}
	type part struct {
		Location string `json:"location"`
		counts
	}
	type leftOut struct {
		Location string `json:"location"`
		Size     uint64 `json:"size"`
	}
	of := func(c *protocol.ImportCounts) counts {
		return counts{c.GetClients(), c.GetVaults(), c.GetRecords(), c.GetTyped(), c.GetRevoked(), c.GetEntries(), c.GetExpired(),
			c.GetLeftOut(), c.GetEmptyVaults(), c.GetGarbage(), c.GetConflicts()}
	}
	out := struct {
		DryRun     bool      `json:"dry_run"`
		Version    string    `json:"version"`
		WorkFactor uint32    `json:"work_factor,omitempty"`
		Attempts   []attempt `json:"attempts"`
		Total      counts    `json:"total"`
		Parts      []part    `json:"parts"`
		MoreParts  bool      `json:"more_parts,omitempty"`
		LeftOut    []leftOut `json:"left_out,omitempty"`
	}{DryRun: dry, Version: im.GetVersion(), WorkFactor: im.GetWorkFactor(), Total: of(im.GetTotal()), Parts: []part{}, MoreParts: im.GetMoreParts()}
	for i, at := range im.GetAttempts() {
		out.Attempts = append(out.Attempts, attempt{at.Name, at.Format, at.Tried, i == len(im.Attempts)-1, at.Note})
	}
	for _, p := range im.GetParts() {
		out.Parts = append(out.Parts, part{p.GetLocation().Text(), of(p.GetCounts())})
	}
	for _, l := range im.GetLeftOut() {
		out.LeftOut = append(out.LeftOut, leftOut{l.GetLocation().Text(), l.GetSize()})
	}
	return out
}

func (a *app) keyTypeCommand() *cobra.Command {
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "type LOC KIND",
		Short: "say what an imported record is, so that it can be used",
		Long: `type says what a record is that came from a file of the Rust Stronghold, which did
not keep that, or that was imported as data:

  ed25519         a signing key: the first 32 bytes, as the Rust program used them
  seed            16 to 64 bytes to derive keys from (SLIP-0010)
  slip10-ed25519  a private key and its chain code, 64 bytes
  data            any bytes

What has a kind keeps it. Bytes behind the 32 of an ed25519 key, and that are not
its public half, would be lost: that takes --overwrite. On a peer, type says what
imported records are, takes the rights to use and to write them, and loses nothing.
The public half goes to stdout, or the location of what has none.`,
		Example: `  shnode key type wallet/keys/main ed25519
  shnode key type wallet/rotating/@7 ed25519`,
		Args:        takes(2, 2),
		Annotations: map[string]string{forPeers: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			loc, err := record(args[0])
			if err != nil {
				return err
			}
			if err := checkKind(args[1]); err != nil {
				return err
			}
			req := &protocol.Request{Operation: "record.type", Location: loc, Kind: args[1], Overwrite: overwrite}
			return a.ask(cmd.Context(), func(c protocol.Client) error {
				resp, err := c.Do(cmd.Context(), req)
				if err != nil {
					err = a.hinted(err, protocol.Status_EXISTS, "--overwrite drops the bytes that the key does not keep; `shnode exec record.copy location=LOC target=OTHER` keeps them elsewhere first")
					return a.hinted(err, protocol.Status_WRONG_KIND, "this record has a kind already: `shnode key ls` tells which")
				}
				if resp.Kind == protocol.Ed25519 {
					if _, resp.PublicKey, err = c.PublicKey(cmd.Context(), loc); err != nil {
						return err
					}
				}
				return a.printMade(loc, resp)
			})
		},
	}
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "also if bytes of the record are lost, for good")
	return cmd
}

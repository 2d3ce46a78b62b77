package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) snapshotExportCommand() *cobra.Command {
	var newPassphraseFile string
	var workFactor uint32
	p := new(protocol.Proof)
	cmd := &cobra.Command{
		Use:   "export FILE [--new-passphrase-file FILE] [--format stronghold-3]",
		Short: "write all secrets to one new file, encrypted",
		Long: `export writes every client, vault, record and store to one new file. That file is
another place where every secret is. It takes a passphrase or key that opens the
home, also while the home is unlocked.

Without --format the file is a snapshot like the home's own, without what was
revoked. The same passphrases and keys open it, or, with --new-passphrase-file,
that one alone.

--format stronghold-3 writes it for the Rust Stronghold 2.x, with a password of its
own: from --new-passphrase-file or the terminal. The file's key is Blake2b-256 of
it, as iota-sdk makes it; a Tauri app that makes its key by Argon2 does not open it.
Lost on the way: names, since that format has ids only, which programs derive
from the paths they know; kinds; the words of mnemonics, whose seed goes along;
what was revoked, but not that it was. --work-factor is log2 of the work that one
guess at the new password takes; 19 takes 512 MiB at each opening.`,
		Example: `  shnode snapshot export backup.stronghold
  shnode snapshot export back.stronghold --format stronghold-3`,
		Args: takes(1, 1),
	}
	cmd.Flags().StringVar(&p.Format, "format", "", "the format of the file: stronghold-3; a snapshot of this program if absent")
	cmd.Flags().StringVar(&newPassphraseFile, "new-passphrase-file", "", "read the new file's password from this file, or - for stdin")
	cmd.Flags().Uint32Var(&workFactor, "work-factor", 0, "of the new password: scrypt, log2 N, 17 to 22 (default: 19 for stronghold-3, else what takes about half a second here)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if p.Format != "" && p.Format != "stronghold-3" {
			return usage("--format names no format that is written", "--format stronghold-3, or none for a snapshot of this program")
		}
		if p.Cost = workFactor; cmd.Flags().Changed("work-factor") && (p.Cost < minCost || p.Cost > maxCost) {
			return usage("--work-factor is 17 to 22", "each step doubles the time and memory that opening takes; 17 takes 128 MiB")
		}
		if _, err := os.Lstat(args[0]); err == nil { // before anybody types anything
			return fileExists(args[0])
		}
		req := &protocol.Request{Operation: "snapshot.export"}
		resp, err := a.prove(ctx, cmd, req, p, func() (*memguard.LockedBuffer, error) {
			if p.Format == "" && newPassphraseFile == "" {
				return nil, nil
			}
			return a.newPassphrase(ctx, newPassphraseFile, "the password of the new file:", p.Format == "")
		})
		if err != nil {
			return err
		}
		var size uint64
		err = a.ask(ctx, func(c protocol.Client) error {
			return writeNew(args[0], func(w io.Writer) (err error) {
				size, err = a.fetchFile(ctx, c, req, resp, w)
				return err
			})
		})
		if err != nil {
			return err
		}
		a.talkf("wrote %d bytes to %s", size, printable(args[0]))
		result := map[string]any{"file": args[0], "size": size}
		if p.Format != "" {
			result["format"] = p.Format
		}
		return a.printIf(result)
	}
	return cmd
}

// fetchFile writes the file whose first part has come, and fetches the others.
func (a *app) fetchFile(ctx context.Context, c protocol.Client, first *protocol.Request, resp *protocol.Response, w io.Writer) (size uint64, err error) {
	const step = 16 << 20 // how often to tell
	for told := uint64(step); ; {
		if _, err := w.Write(resp.Snapshot); err != nil {
			return size, err
		}
		if size += uint64(len(resp.Snapshot)); !resp.More {
			return size, nil
		}
		if size >= told {
			a.talkf("%d MiB so far", size>>20)
			told = size + step
		}
		req := &protocol.Request{Id: first.Id, Operation: first.Operation, Offset: size}
		if resp, err = c.Do(ctx, req); err != nil {
			return size, err
		}
	}
}

// filePassword gets the password of another program's file, like a passphrase.
func (a *app) filePassword(ctx context.Context, prompt string) (*memguard.LockedBuffer, error) {
	if a.passphraseFile != "" {
		return a.passphrase(ctx, false)
	}
	b, err := a.typePassphrase(ctx, prompt, false)
	switch {
	case errors.Is(err, errNoTerminal):
		return nil, usage("there is no terminal to ask for the file's password", "name a file that holds it with --passphrase-file FILE, or - for stdin")
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, usage("the password is empty", "")
	}
	return lockSecret(b)
}

func fileExists(path string) error {
	return failed("exists", printable(path)+" is there already, and stays as it is", "choose another name")
}

// writeNew writes a file that is not there yet, for its owner only. It appears
// whole, or as an empty file if the machine stops in between; what is there
// already is never touched. The empty one keeps the name while the other is written.
func writeNew(path string, write func(io.Writer) error) (err error) {
	keep, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fileExists(path)
	}
	if err != nil {
		return err
	}
	keep.Close()
	var random [6]byte
	rand.Read(random[:])
	temp := path + ".unfinished-" + hex.EncodeToString(random[:])
	defer func() {
		if err != nil {
			os.Remove(temp)
			os.Remove(path)
		}
	}()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // some systems have folders that cannot be synced
		dir.Sync()
		dir.Close()
	}
	return nil
}

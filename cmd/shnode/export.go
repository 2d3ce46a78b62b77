package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"

	"github.com/stronghold-go/stronghold/protocol"
)

func (a *app) snapshotExportCommand() *cobra.Command {
	var format, newPassphraseFile string
	var cost uint32
	cmd := &cobra.Command{
		Use:   "export FILE --format stronghold-3",
		Short: "write all secrets to a file that the Rust Stronghold 2.x reads",
		Long: `export writes every client, vault, record and store to a new file for Stronghold
2.x, encrypted with a password of its own. That file is another place where every
secret is: whoever has it and its password has all of them.

It takes the home's passphrase, also while the home is unlocked. The new password
comes from --new-passphrase-file or the terminal. The file's key is Blake2b-256 of
it, as iota-sdk makes it; a Tauri app that makes its key by Argon2 does not open it.

Lost on the way: names, since that format has ids only, which programs derive
from the paths they know; kinds; the words of mnemonics, whose seed goes along;
what was revoked, but not that it was. --work-factor is log2 of the work that one
guess at the password takes; 19 takes 512 MiB at each opening.`,
		Example: `  shnode snapshot export back.stronghold --format stronghold-3`,
		Args:    takes(1, 1),
	}
	cmd.Flags().StringVar(&format, "format", "", "the format of the file: stronghold-3")
	cmd.Flags().StringVar(&newPassphraseFile, "new-passphrase-file", "", "read the new file's password from this file, or - for stdin")
	cmd.Flags().Uint32Var(&cost, "work-factor", 19, "scrypt, log2 N: 17 to 22")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if format != "stronghold-3" {
			return usage("--format is missing, or names no format that is written", "--format stronghold-3; a copy of vault.stronghold in the home is a backup in this program's own")
		}
		if cost < minCost || cost > maxCost {
			return usage("--work-factor is 17 to 22", "each step doubles the time and memory that opening takes; 17 takes 128 MiB")
		}
		if !cmd.Flags().Changed("timeout") {
			a.timeout = foreignTimeout
		}
		if _, err := os.Lstat(args[0]); err == nil { // before anybody types anything
			return fileExists(args[0])
		}
		both, err := a.proofAndPassword(ctx, newPassphraseFile)
		if err != nil {
			return err
		}
		defer both.Destroy()
		var file []byte
		err = a.ask(ctx, func(c protocol.Client) (err error) {
			file, err = exportFile(ctx, c, &protocol.Request{Operation: "snapshot.export", Format: format, Cost: cost}, both.Bytes())
			return a.hinted(err, protocol.Status_WRONG_KEY, "export takes the home's passphrase, and the new file's password besides; nothing was written")
		})
		if err != nil {
			return err
		}
		if err := writeNew(args[0], file); err != nil {
			return err
		}
		a.talkf("wrote %d bytes to %s", len(file), printable(args[0]))
		return a.printIf(map[string]any{"file": args[0], "format": format, "size": len(file)})
	}
	return cmd
}

// proofAndPassword asks for the home's passphrase and for the password of the
// new file, and joins them: they are sealed together.
func (a *app) proofAndPassword(ctx context.Context, newPassphraseFile string) (*memguard.LockedBuffer, error) {
	proof, err := a.passphrase(ctx, false)
	if err != nil {
		return nil, err
	}
	defer proof.Destroy()
	var password []byte
	if newPassphraseFile != "" {
		password, err = a.readPassphraseFile(ctx, newPassphraseFile)
	} else {
		password, err = a.typePassphrase(ctx, "the password of the new file:", true)
	}
	defer clear(password)
	switch {
	case errors.Is(err, errNoTerminal):
		return nil, usage("there is no terminal to ask for the new file's password", "name a file that holds it with --new-passphrase-file FILE, or - for stdin")
	case err != nil:
		return nil, err
	case len(password) == 0:
		return nil, usage("the new file's password is empty", "")
	}
	both, err := protocol.JoinSecrets(proof.Bytes(), password)
	if err != nil {
		return nil, usage(fmt.Sprintf("a passphrase has at most %d bytes", protocol.MaxPassphrase), "")
	}
	return lockSecret(both)
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

// exportFile fetches the file, a part at a time.
func exportFile(ctx context.Context, c protocol.Client, req *protocol.Request, secret []byte) (file []byte, err error) {
	if err := seal(ctx, c, req, map[string][]byte{"secret": secret}); err != nil {
		return nil, err
	}
	for {
		resp, err := c.Do(ctx, req)
		if err != nil {
			return nil, err
		}
		file = append(file, resp.Snapshot...)
		if !resp.More {
			return file, nil
		}
		req = &protocol.Request{Id: req.Id, Operation: req.Operation, Format: req.Format, Offset: uint64(len(file))}
	}
}

func fileExists(path string) error {
	return failed("exists", printable(path)+" is there already, and stays as it is", "choose another name")
}

// writeNew writes a file that is not there yet, for its owner only. It appears
// whole, or as an empty file if the machine stops in between; what is there
// already is never touched. The empty one keeps the name while the other is written.
func writeNew(path string, b []byte) (err error) {
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
	_, err = f.Write(b)
	if err == nil {
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

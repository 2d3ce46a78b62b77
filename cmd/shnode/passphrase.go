package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"unicode"
	"unicode/utf8"

	"github.com/awnumar/memguard"

	"github.com/stronghold-go/stronghold/protocol"
)

// passphrase gets the passphrase: from --passphrase-file, else from whoever
// sits at the terminal, never from an argument. A new one is typed twice. The
// caller destroys it.
func (a *app) passphrase(ctx context.Context, isNew bool) (*memguard.LockedBuffer, error) {
	b, err := a.passphraseBytes(ctx, isNew)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, usage("the passphrase is empty", "")
	}
	if isNew {
		if err := typeable(b, true); err != nil {
			return nil, err
		}
	}
	return lockSecret(b)
}

// typeable is what speaks against making something that b is to open: that nobody
// could type it. It is wiped then. keys says whether a key may be in its place.
func typeable(b []byte, keys bool) (err error) {
	defer func() {
		if err != nil {
			clear(b)
		}
	}()
	odd := func(r rune) bool { return unicode.IsControl(r) && r != '\t' || r == '\ufeff' }
	switch {
	case !utf8.Valid(b), bytes.IndexByte(b, 0) >= 0:
		return usage("the passphrase is not text in UTF-8", "an editor or PowerShell may have saved the file in another encoding, such as UTF-16; save it as UTF-8. Random bytes are given as a key: STRONGHOLD-KEY- and 64 hexadecimal digits")
	case bytes.Contains(b, []byte("AGE-SECRET-KEY-")), bytes.Contains(b, []byte("STRONGHOLD-KEY-")):
		if keys {
			return nil // with comments, maybe: it is for the zone to read
		}
		return usage("the passphrase holds a key of age, or a raw key", "it takes a passphrase here: is this the right file?")
	case bytes.ContainsAny(bytes.Trim(b, "\r\n"), "\r\n"):
		return usage("the passphrase is more than one line", "a passphrase is one line, as it would be typed; take the others out of the file")
	case bytes.ContainsAny(b, "\r\n"):
		return usage("there are empty lines around the passphrase", "a passphrase is one line, as it would be typed; take the others out of the file")
	case bytes.ContainsFunc(b, odd):
		return usage("the passphrase holds a control character", "it could hardly be typed again; an arrow key, or a copy from elsewhere, may have put it there")
	}
	return nil
}

func (a *app) passphraseBytes(ctx context.Context, isNew bool) ([]byte, error) {
	if a.passphraseFile != "" {
		return a.readPassphraseFile(ctx, a.passphraseFile)
	}
	b, err := a.typePassphrase(ctx, "passphrase:", isNew)
	if errors.Is(err, errNoTerminal) {
		return nil, usage("there is no terminal to ask for the passphrase", "name a file that holds it with --passphrase-file FILE, or - for stdin")
	}
	return b, err
}

// typePassphrase has a passphrase typed at the terminal, twice if it is new.
func (a *app) typePassphrase(ctx context.Context, prompt string, isNew bool) ([]byte, error) {
	b, err := readSecret(ctx, prompt)
	if err != nil || !isNew || len(b) == 0 {
		return b, err
	}
	again, err := readSecret(ctx, "the same again:")
	defer clear(again)
	if err == nil && !bytes.Equal(b, again) {
		err = failed("mismatch", "the two passphrases differ", "nothing was made; try again")
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b, nil
}

// readPassphraseFile reads the file.
func (a *app) readPassphraseFile(ctx context.Context, path string) ([]byte, error) {
	r, err := a.open("the passphrase", path)
	if err != nil {
		return nil, fmt.Errorf("the passphrase file: %w", err)
	}
	defer r.Close()
	a.warnReadable(r)
	b, err := await(ctx, func() ([]byte, error) { return readUpTo(r, "the passphrase", protocol.MaxSecret) })
	if err != nil {
		return nil, err
	}
	return asTyped(b), nil
}

// asTyped is what a file holds as a person would have typed it: without the line end
// behind it, if there is one, and the mark that editors put before UTF-8.
func asTyped(b []byte) []byte {
	if line, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		b = bytes.TrimSuffix(line, []byte("\r"))
	}
	return bytes.TrimPrefix(b, []byte("\ufeff"))
}

// warnReadable warns of a file that other users may read. It is no error:
// service managers hand secrets over in files of mode 0440 within a closed folder.
func (a *app) warnReadable(r io.Reader) {
	f, ok := r.(*os.File)
	if !ok || runtime.GOOS == "windows" { // where modes say nothing
		return
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		a.warnf("other users may read the passphrase file (mode %04o)", info.Mode().Perm())
		a.hintf("chmod 600 it")
	}
}

// lockSecret moves b into memory that is not swapped out, and wipes b.
func lockSecret(b []byte) (buf *memguard.LockedBuffer, err error) {
	// memguard panics where memory cannot be locked.
	defer func() {
		if recover() != nil {
			clear(b)
			err = failed("memory", "no memory can be locked to hold a secret", "raise the hard limit: LimitMEMLOCK=64M of a systemd service, `ulimit -Hl` of a shell")
		}
	}()
	return memguard.NewBufferFromBytes(b), nil
}

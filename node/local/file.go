package local

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stronghold-go/stronghold/protocol"
)

// unfinished is in the name of a file that is being written, between the name it
// will have and random characters.
const unfinished = ".unfinished-"

// replaceFile writes a new file and puts it in the place of path, at once and
// durably: whoever looks sees the old file or the whole new one, also after a
// crash. It returns the new file, open for reading and writing.
func replaceFile(path string, write func(*os.File) error) (_ *os.File, err error) {
	var random [6]byte
	rand.Read(random[:])
	temp := path + unfinished + hex.EncodeToString(random[:])
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(temp) // it is gone already if the rename went through
		}
	}()
	if err := write(f); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	return f, syncFolder(filepath.Dir(path))
}

// writeFile is replaceFile with bytes.
func writeFile(path string, b []byte) error {
	f, err := replaceFile(path, func(f *os.File) error { _, err := f.Write(b); return err })
	if err != nil {
		return err
	}
	return f.Close()
}

// removeUnfinished removes what crashes have left of writing path.
func removeUnfinished(path string) {
	left, err := filepath.Glob(globEscape(path) + unfinished + "*")
	if err != nil {
		return
	}
	for _, f := range left {
		os.Remove(f)
	}
}

// openVault opens the snapshot file for reading and appending. It must be a
// regular file of ours: not a link to somebody else's.
func openVault(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	if err != nil {
		return nil, notALink(path, err)
	}
	if err := checkFile(f, 0o600); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readPrivate reads a file of the home, at most 1 MiB.
func readPrivate(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, notALink(path, err)
	}
	defer f.Close()
	if err := checkFile(f, 0o600); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(b) > maxSmallFile {
		err = &HomeError{Path: path, Reason: "larger than 1 MiB"}
	}
	return b, err
}

const maxSmallFile = 1 << 20

// notALink says in plain words that a path was refused for being a link.
func notALink(path string, err error) error {
	if st, statErr := os.Lstat(path); statErr == nil && !st.Mode().IsRegular() {
		return &HomeError{Path: path, Reason: "not a regular file"}
	}
	return err
}

// HomeError is the error for a home, or a file in it, that cannot be trusted or used.
type HomeError struct {
	Path, Reason string
}

func (e *HomeError) Error() string { return "local: " + e.Path + ": " + e.Reason }

// refuseFile says why the snapshot file cannot be used.
func (s *Stronghold) refuseFile(err error) *protocol.Response {
	var bad *HomeError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return protocol.Refuse(protocol.Status_MISSING, s.path(vaultFile))
	case errors.As(err, &bad):
		return protocol.Refuse(protocol.Status_UNAVAILABLE, bad.Error())
	}
	s.log.Error("snapshot file not opened", "error", err)
	return protocol.Refuse(protocol.Status_INTERNAL, "the snapshot file cannot be opened")
}

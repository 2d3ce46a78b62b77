package local

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/stronghold-go/stronghold/protocol"
)

// writeFile is replaceFile with bytes, on the system's disk.
func writeFile(path string, b []byte) error {
	return replaceFile(systemDisk{}, path, func(w io.Writer) error { _, err := w.Write(b); return err })
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
// It is fs.ErrNotExist to errors.Is for a file that is missing.
type HomeError struct {
	Path, Reason string
	Damaged      bool // it is not as it was written

	err error // nil, or what it is besides
}

func (e *HomeError) Unwrap() error { return e.err }

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

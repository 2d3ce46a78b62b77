package local

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
)

// disk is what the snapshot file lies on: the system's, or one of a test's, which
// fails or loses its power when the test wants.
type disk interface {
	Open(path string) (file, error)   // to read and write; a regular file of ours, or a *HomeError
	Create(path string) (file, error) // which must not be there; 0600
	Link(from, to string) error       // as another name
	Rename(from, to string) error
	Remove(path string) error
	SyncFolder(path string) error    // makes names in it durable
	Is(path string, f file) bool     // whether that is the file at the path
	Unfinished(path string) []string // what crashes have left of writing path
}

// file is an open file of a [disk].
type file interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	SyncData() error // Sync, but for what no reader needs, such as the time of a write
	Close() error
}

// unfinished is in the name of a file that is being written, between the name it
// will have and random characters.
const unfinished = ".unfinished-"

func unfinishedName(path string) string {
	var random [6]byte
	rand.Read(random[:])
	return path + unfinished + hex.EncodeToString(random[:])
}

// replaceFile writes a new file and puts it in the place of path, at once and
// durably: whoever looks sees the old file or the whole new one, also after a crash.
func replaceFile(d disk, path string, write func(io.Writer) error) error {
	temp := unfinishedName(path)
	f, err := d.Create(temp)
	if err != nil {
		return err
	}
	err = write(io.NewOffsetWriter(f, 0))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = d.Rename(temp, path)
	}
	if err != nil {
		d.Remove(temp)
		return err
	}
	return d.SyncFolder(filepath.Dir(path))
}

// removeUnfinished removes what crashes have left of writing path.
func removeUnfinished(d disk, path string) {
	for _, f := range d.Unfinished(path) {
		d.Remove(f)
	}
}

// systemDisk is the disk that the system has.
type systemDisk struct{}

type systemFile struct{ *os.File }

func (f systemFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Open does not follow a link: the file could be somebody else's.
func (systemDisk) Open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	if err != nil {
		return nil, notALink(path, err)
	}
	if err := checkFile(f, 0o600); err != nil {
		f.Close()
		return nil, err
	}
	return systemFile{f}, nil
}

func (systemDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

func (systemDisk) Link(from, to string) error   { return os.Link(from, to) }
func (systemDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (systemDisk) Remove(path string) error     { return os.Remove(path) }
func (systemDisk) SyncFolder(path string) error { return syncFolder(path) }

func (systemDisk) Is(path string, f file) bool {
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	ours, err := f.(systemFile).Stat()
	return err == nil && os.SameFile(there, ours)
}

func (systemDisk) Unfinished(path string) []string {
	left, err := filepath.Glob(globEscape(path) + unfinished + "*")
	if err != nil {
		return nil
	}
	return left
}

package local_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/stronghold-go/stronghold/node/local"
)

// faultDisk is a disk in memory that fails where a test wants, and tells what is
// left of it when the power goes at any moment. What was written and not synced
// may be lost, wholly or in sectors; what a failed sync was to make durable is
// taken for written and is not; a rename that was not synced may not have happened.
type faultDisk struct {
	mu     sync.Mutex
	names  map[string]*inode // as a process sees them
	stable map[string]*inode // as they are on the disk
	ops    int               // so far
	fault  fault
	halted bool
}

// fault is what happens at an operation, counted from 1; 0: nothing does.
type fault struct {
	at   int
	kind faultKind
}

type faultKind int

const (
	powerOff   faultKind = iota // everything fails from there on
	failOnce                    // it fails, with nothing done
	shortWrite                  // a write fails with half of it done; anything else as failOnce
	failAlways                  // it fails, and everything after it
	noSpace                     // what takes room fails from there on
	faultKinds
)

func (k faultKind) String() string {
	return [...]string{"power off", "fails once", "short write", "fails for good", "no space"}[k]
}

// inode is a file's content: what readers see, and what is on the disk.
type inode struct {
	cache   []byte
	stable  []byte
	dirty   map[int64]bool // sectors of the cache that are not on the disk, and will be with the next sync
	resized bool
}

const sector = 512

var errDisk = errors.New("a fault of the test's disk")

func newFaultDisk(path string, content []byte) *faultDisk {
	n := &inode{cache: bytes.Clone(content), stable: bytes.Clone(content), dirty: map[int64]bool{}}
	return &faultDisk{names: map[string]*inode{path: n}, stable: map[string]*inode{path: n}}
}

// op counts an operation and says whether it fails. The lock is held.
func (d *faultDisk) op(room bool) error {
	d.ops++
	if d.halted || d.fault.at == 0 || d.ops < d.fault.at {
		if d.halted {
			return errDisk
		}
		return nil
	}
	switch here := d.ops == d.fault.at; d.fault.kind {
	case powerOff:
		d.halted = true
		return errDisk
	case failAlways:
		return errDisk
	case noSpace:
		if room {
			return syscall.ENOSPC
		}
	default:
		if here {
			return errDisk
		}
	}
	return nil
}

func (d *faultDisk) Open(path string) (local.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.names[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &faultFile{d, n}, nil
}

func (d *faultDisk) Create(path string) (local.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(true); err != nil {
		return nil, err
	}
	if _, ok := d.names[path]; ok {
		return nil, fs.ErrExist
	}
	n := &inode{dirty: map[int64]bool{}}
	d.names[path] = n
	return &faultFile{d, n}, nil
}

func (d *faultDisk) Link(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(true); err != nil {
		return err
	}
	if _, ok := d.names[to]; ok {
		return fs.ErrExist
	}
	d.names[to] = d.names[from]
	return nil
}

func (d *faultDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(false); err != nil {
		return err
	}
	if d.names[from] == nil {
		return fs.ErrNotExist
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *faultDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(false); err != nil {
		return err
	}
	delete(d.names, path)
	return nil
}

func (d *faultDisk) SyncFolder(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(false); err != nil {
		return err
	}
	d.stable = maps.Clone(d.names)
	return nil
}

func (d *faultDisk) Is(path string, f local.File) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[path] == f.(*faultFile).n
}

func (d *faultDisk) Unfinished(path string) (left []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.names {
		if strings.HasPrefix(name, path+".unfinished-") {
			left = append(left, name)
		}
	}
	return left
}

type faultFile struct {
	d *faultDisk
	n *inode
}

func (f *faultFile) ReadAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return bytes.NewReader(f.n.cache).ReadAt(p, at)
}

func (f *faultFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op(true); err != nil {
		if f.d.fault.kind != shortWrite {
			return 0, err
		}
		f.n.write(p[:len(p)/2], at)
		return len(p) / 2, io.ErrShortWrite
	}
	f.n.write(p, at)
	return len(p), nil
}

func (n *inode) write(p []byte, at int64) {
	if len(p) == 0 {
		return
	}
	if grown := at + int64(len(p)) - int64(len(n.cache)); grown > 0 {
		n.cache = append(n.cache, make([]byte, grown)...)
		n.resized = true
	}
	copy(n.cache[at:], p)
	for s := at / sector; s*sector < at+int64(len(p)); s++ {
		n.dirty[s] = true
	}
}

func (f *faultFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.n.cache)), nil
}

func (f *faultFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op(false); err != nil {
		return err
	}
	if size < int64(len(f.n.cache)) {
		f.n.cache = f.n.cache[:size:size]
		f.n.resized = true
	}
	return nil
}

func (f *faultFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op(false); err != nil {
		if !f.d.halted {
			clear(f.n.dirty) // they are taken for written, and are not
		}
		return err
	}
	f.n.stable = f.n.left(nil)
	clear(f.n.dirty)
	f.n.resized = false
	return nil
}

// SyncData makes the length durable too, as far as readers need it.
func (f *faultFile) SyncData() error { return f.Sync() }

func (f *faultFile) Close() error { return nil }

// left is what is on the disk when only some of the dirty sectors have reached
// it: all, if written is nil. What has no content yet is zeros.
func (n *inode) left(written func() bool) []byte {
	b := bytes.Clone(n.stable)
	if len(b) > len(n.cache) {
		b = b[:len(n.cache)]
	}
	b = append(b, make([]byte, len(n.cache)-len(b))...)
	for s := range n.dirty {
		if at := s * sector; at < int64(len(b)) && (written == nil || written()) {
			copy(b[at:min(int64(len(b)), at+sector)], n.cache[at:])
		}
	}
	return b
}

// imageKinds are the ways in which the power can go.
const imageKinds = 5

// image is what is left, as a disk without faults, when the power goes now.
func (d *faultDisk) image(kind int, rnd *rand.Rand) *faultDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := d.stable
	if kind%2 == 1 || kind == 4 && rnd.IntN(2) == 0 {
		names = d.names // the folder was written all the same
	}
	out := &faultDisk{names: map[string]*inode{}}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		var b []byte
		switch kind {
		case 0: // nothing that was not synced
			b = bytes.Clone(n.stable)
		case 1: // all of it
			b = n.left(nil)
		case 2: // sizes, and no content
			b = n.left(func() bool { return false })
		case 3: // some sectors
			b = n.left(func() bool { return rnd.IntN(2) == 0 })
		case 4: // a size in between
			b = n.left(nil)
			if grown := len(b) - len(n.stable); grown > 0 {
				b = b[:len(n.stable)+rnd.IntN(grown+1)]
			}
		}
		out.names[name] = &inode{cache: b, stable: bytes.Clone(b), dirty: map[int64]bool{}}
	}
	out.stable = maps.Clone(out.names)
	return out
}

// killed ends the faults, as for another process that comes after this one: it sees all of it, on a
// disk that may still lose its power.
func (d *faultDisk) killed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.halted = fault{}, false
}

// contents are all bytes of all files.
func (d *faultDisk) contents() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all [][]byte
	for _, n := range d.names {
		all = append(all, bytes.Clone(n.cache), bytes.Clone(n.stable))
	}
	return all
}

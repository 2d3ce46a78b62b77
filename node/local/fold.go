package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

const (
	foldAfter   = 1 << 20  // bytes of journal that are left alone, however small the rest
	carryLittle = 64 << 10 // bytes of changes that may be left to do while changes wait
)

// foldSize is the size at which a file is folded whose state takes base bytes.
func foldSize(base int64) int64 { return base + max(foldAfter, base) }

// fresh is a file that is to take the place of the one that is appended to.
type fresh struct {
	file  file
	temp  string // its name until then
	base  int64  // bytes before its journal
	ends  mark
	size  int64
	taken bool // it is the journal's now
}

// wish is somebody's, for a fresh file.
type wish struct {
	prepare func() error // what the zone is told right before, so that this file has it and no other; or nil
	done    chan error
}

// fold writes the whole state as a fresh file in the place of this one. If prepare
// fails there is none for it.
func (j *journal) fold(prepare func() error) error {
	done := make(chan error, 1)
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return errLocking
	}
	j.folds = append(j.folds, wish{prepare, done})
	j.mu.Unlock()
	kick(j.grown)
	return <-done
}

// folder folds, one file at a time, until close.
func (j *journal) folder() {
	defer close(j.folded)
	for range j.grown {
		for {
			j.mu.Lock()
			wishes, closing := j.folds, j.closing
			j.folds = nil
			j.mu.Unlock()
			err := errLocking
			if !closing {
				if end := j.unmarked.Swap(nil); end != nil {
					j.mark(*end)
				}
				due := j.due.Swap(false)
				if len(wishes) == 0 && !due {
					break
				}
				wishes, err = j.foldOnce(wishes, due)
			}
			for _, w := range wishes {
				w.done <- err
			}
			if closing {
				return
			}
			if err != nil {
				j.log.Warn("journal not folded", "error", err)
				j.foldAt.Add(foldAfter) // and tried again then
			}
		}
	}
}

// fails prepares for the file, and says so to the one who wished if that fails.
func (w wish) fails() bool {
	if w.prepare == nil {
		return false
	}
	err := w.prepare()
	if err != nil {
		w.done <- err
	}
	return err != nil
}

// foldOnce writes the state as it is now, while changes go on to be appended to
// the old file, then the changes since, and hands the file to run for the last of
// them. Changes wait only for that.
// It returns the wishes that the file is for: others were prepared for in vain.
func (j *journal) foldOnce(wishes []wish, due bool) (_ []wish, err error) {
	j.files.Lock()
	defer j.files.Unlock()
	fr := &fresh{temp: unfinishedName(j.path)}
	if fr.file, err = j.disk.Create(fr.temp); err != nil {
		return wishes, err
	}
	defer func() {
		if !fr.taken {
			fr.file.Close()
			j.disk.Remove(fr.temp)
		}
	}()
	// Prepared for here, where nothing is between it and the file's beginning.
	if wishes = slices.DeleteFunc(wishes, wish.fails); len(wishes) == 0 && !due {
		return nil, nil
	}
	if err := j.pull(fr); err != nil {
		return wishes, err
	}
	fr.base = fr.size
	if _, err := fr.file.ReadAt(fr.ends.tag[:], fr.size-int64(len(fr.ends.tag))); err != nil { // that of the index
		return wishes, err
	}
	for {
		was := fr.size
		if err := j.carry(fr); err != nil {
			return wishes, err
		}
		if err := fr.file.Sync(); err != nil {
			return wishes, err
		}
		if fr.size-was < carryLittle {
			break
		}
	}
	return wishes, j.atRest(func() error { return j.adopt(fr) })
}

// rest is what is to be done while nothing is staged and all that was is committed.
type rest struct {
	do   func() error
	done chan error
}

// atRest has run do something then. j.files is held.
func (j *journal) atRest(do func() error) error {
	r := &rest{do, make(chan error, 1)}
	j.mu.Lock()
	j.rest = r
	j.mu.Unlock()
	kick(j.wake)
	select {
	case err := <-r.done:
		return err
	case <-j.done:
		select {
		case err := <-r.done:
			return err
		default:
			return errLocking
		}
	}
}

func (j *journal) takeRest() *rest {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.rest
	j.rest = nil
	return r
}

// doAtRest lets nothing be staged, writes what is, and does it. Only run calls it.
func (j *journal) doAtRest(do func() error) error {
	j.gate.Lock() // nothing is being staged now
	defer j.gate.Unlock()
	for wrote := true; wrote; {
		wrote, _ = j.write(true)
	}
	j.mu.Lock()
	lost := len(j.waiting) > 0
	j.mu.Unlock()
	if lost { // a number that will not come: it went with the zone
		return sandbox.ErrEnded
	}
	return do()
}

// pull writes what the zone gives, part after part, and what it has copied from the
// present file, of which it may want something.
func (j *journal) pull(fr *fresh) error {
	req := new(protocol.Request)
	for {
		j.mu.Lock()
		closing := j.closing
		j.mu.Unlock()
		if closing {
			return errLocking
		}
		req.Operation = "zone.fold"
		resp, err := j.ask(req)
		if err != nil {
			return err
		}
		fr.ends.lineage = [16]byte(resp.Lineage)
		if err := fr.append(resp.Snapshot); err != nil {
			return err
		}
		if c := resp.Copied; c != nil {
			if err := j.copy(fr, int64(c.At), int64(c.Bytes)); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
		req = &protocol.Request{More: true}
		if resp.Wanted != nil {
			if req.Snapshot, err = readRange(j.file, resp.Wanted, j.end()); err != nil {
				return err
			}
		}
	}
}

func (fr *fresh) append(b []byte) error {
	n, err := fr.file.WriteAt(b, fr.size)
	fr.size += int64(n)
	return err
}

// copy appends a part of the present file.
func (j *journal) copy(fr *fresh, at, size int64) error {
	for part := make([]byte, min(partSize, max(0, size))); size > 0; {
		n, err := j.file.ReadAt(part[:min(int64(len(part)), size)], at)
		if n == 0 && err != nil {
			return err
		}
		if err := fr.append(part[:n]); err != nil {
			return err
		}
		at, size = at+int64(n), size-int64(n)
	}
	return nil
}

// carry appends the changes that were committed since the file was begun, or
// since the last time, as one batch.
func (j *journal) carry(fr *fresh) error {
	b := make([]byte, batchHead)
	for more := true; more; {
		resp, err := j.ask(&protocol.Request{Operation: "zone.carry"})
		if err != nil {
			return err
		}
		b, more = append(b, resp.Snapshot...), resp.More
	}
	if len(b) == batchHead {
		return nil
	}
	fr.ends.tag = [16]byte(b[len(b)-16:])
	return fr.append(sealBatch(b))
}

// adopt puts a fresh file in the place of the old one, with all that was changed
// since it was begun, at rest.
func (j *journal) adopt(fr *fresh) error {
	was := fr.size
	if err := j.carry(fr); err != nil {
		return err
	}
	if fr.size > was {
		if err := fr.file.Sync(); err != nil {
			return err
		}
	}
	fr.ends.seq = j.next - 1
	if err := j.remember(j.ends, fr.ends); err != nil { // after a crash it may be either
		return err
	}
	if err := j.keepOld(); err != nil {
		return err
	}
	err := j.disk.Rename(fr.temp, j.path)
	if err != nil && j.disk.Is(j.path, j.file) {
		return err
	}
	// From here on there may be no way back: what is appended to the old file would be lost.
	if err == nil {
		err = j.disk.SyncFolder(filepath.Dir(j.path))
	}
	if err == nil {
		err = j.tell("zone.adopt", 0)
	}
	j.file.Close()
	j.file, j.size, j.room, j.ends, fr.taken = fr.file, fr.size, 0, fr.ends, true
	j.foldAt.Store(foldSize(fr.base))
	if err != nil {
		j.either.Store(true)
		j.zone.Close() // it would go on with the journal of a file that is gone
		return err
	}
	j.marked = time.Now()
	j.mark(j.ends)
	return nil
}

// keepOld gives the file that is about to be replaced another name, if old ones
// are to be kept: the newest is number 1.
func (j *journal) keepOld() error {
	if j.keep == 0 {
		return nil
	}
	if err := j.giveUpRoom(); err != nil {
		return err
	}
	for n := j.keep; n > 1; n-- {
		if err := j.disk.Rename(keptName(j.path, n-1), keptName(j.path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := j.disk.Remove(keptName(j.path, 1)); err != nil && !errors.Is(err, fs.ErrNotExist) { // with keep = 1
		return err
	}
	return j.disk.Link(j.path, keptName(j.path, 1))
}

func keptName(path string, n int) string { return fmt.Sprintf("%s.%d", path, n) }

package local

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
)

// state.db is mapped into memory, where a file that is shorter than it says ends the
// process. So its two headers are read before; bbolt's own code has their form.
const (
	dbMagic    = 0xED0CDAED
	dbHead     = 16      // of a page
	dbMetaSize = 56      // and a checksum behind it
	dbMaxPage  = 1 << 16 // what bbolt looks for, too
	dbMinPage  = 512
)

// checkDB says whether the file may be mapped: it is there wholly, or not at all.
func checkDB(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it will be made
	}
	if err != nil {
		return notALink(path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	var need, newest uint64 // bytes, by the header that was written last
	first := make([]byte, dbMaxPage+dbHead+dbMetaSize+8)
	n, err := f.ReadAt(first, 0)
	if err != nil && err != io.EOF {
		return err
	}
	for at := 0; at <= dbMaxPage; at = max(dbMinPage, 2*at) {
		if at+dbHead+dbMetaSize+8 > n {
			break
		}
		meta := first[at+dbHead:]
		sum := fnv.New64a()
		sum.Write(meta[:dbMetaSize])
		e := binary.NativeEndian
		page, pages, tx := uint64(e.Uint32(meta[8:])), e.Uint64(meta[40:]), e.Uint64(meta[48:])
		if e.Uint32(meta) != dbMagic || sum.Sum64() != e.Uint64(meta[dbMetaSize:]) || at != 0 && page != uint64(at) || page > dbMaxPage || pages > 1<<40 {
			continue
		}
		if tx >= newest {
			need, newest = page*pages, tx
		}
	}
	if need == 0 || uint64(st.Size()) < need {
		return damagedDB(path)
	}
	return nil
}

func damagedDB(path string) error {
	return &HomeError{Path: path, Reason: "is damaged", Damaged: true}
}

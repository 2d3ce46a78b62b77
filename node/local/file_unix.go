//go:build unix

package local

import (
	"io/fs"
	"os"
	"syscall"
)

const noFollow = syscall.O_NOFOLLOW

// checkFile holds an open file, or folder, against who may own it and how much
// others may do with it.
func checkFile(f *os.File, most fs.FileMode) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() && !st.IsDir() {
		return &HomeError{Path: f.Name(), Reason: "not a regular file"}
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return &HomeError{Path: f.Name(), Reason: "belongs to another user"}
	}
	if st.Mode().Perm()&^most != 0 {
		return &HomeError{Path: f.Name(), Reason: "is open to other users"}
	}
	return nil
}

// syncFolder makes a rename in the folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

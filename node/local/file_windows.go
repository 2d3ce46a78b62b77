package local

import (
	"io/fs"
	"os"
)

const noFollow = 0

// checkFile accepts what the folder's access list lets this user open: Windows
// has no mode bits to hold it against.
func checkFile(f *os.File, _ fs.FileMode) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() && !st.IsDir() {
		return &HomeError{Path: f.Name(), Reason: "not a regular file"}
	}
	return nil
}

// syncFolder does nothing: Windows has no such call, and journals renames.
func syncFolder(string) error { return nil }

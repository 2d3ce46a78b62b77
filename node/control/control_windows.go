package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/windows"
)

// maxPath is how long a socket's path may be, without the 0 at its end.
const maxPath = 107

// checkHome trusts the folder: Windows keeps its rights in lists that its mode does not show.
func checkHome(home string) error {
	if _, err := os.Stat(home); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// isSocket is yes for what is no plain file or folder: Windows shows a socket as a reparse point.
func isSocket(info fs.FileInfo) bool { return !info.Mode().IsRegular() && !info.IsDir() }

// isRefused says whether err is what a socket gives that nobody serves.
func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// sameUser cannot be told here, nor which process it is.
func sameUser(*net.UnixConn) (process int, err error) { return 0, nil }

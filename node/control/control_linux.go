package control

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxPath is how long a socket's path may be, without the 0 at its end.
const maxPath = 107

// withAddr calls f with an address for the name in home. Where the path is too
// long for a socket, the open folder stands for it.
func withAddr(home, name string, f func(*net.UnixAddr) error) error {
	path := filepath.Join(home, name)
	if len(path) > maxPath {
		dir, err := unix.Open(home, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(home), err)
		}
		folder := os.NewFile(uintptr(dir), "home")
		defer folder.Close()
		path = "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
	}
	return f(&net.UnixAddr{Net: "unix", Name: path})
}

// peerOf is the user and the process at the other end.
func peerOf(fd int) (uid, process int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return int(cred.Uid), int(cred.Pid), nil
}

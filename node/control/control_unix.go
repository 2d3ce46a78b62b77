//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// checkHome refuses a home that others can reach into: between the socket's
// making and its chmod nothing else keeps them out.
func checkHome(home string) error {
	info, err := os.Stat(home)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return ErrOpenHome
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return ErrForeign
	}
	return nil
}

func isSocket(info fs.FileInfo) bool { return info.Mode().Type() == fs.ModeSocket }

// isRefused says whether err is what a socket gives that nobody serves.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// sameUser says whether the other end runs as the user of this process, and as
// which process.
func sameUser(conn *net.UnixConn) (process int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var uid int
	if ctlErr := raw.Control(func(fd uintptr) { uid, process, err = peerOf(int(fd)) }); ctlErr != nil {
		return 0, ctlErr
	}
	if err != nil {
		return 0, fmt.Errorf("control: who is at the other end: %w", err)
	}
	if uid != os.Geteuid() {
		return 0, ErrForeign
	}
	return process, nil
}

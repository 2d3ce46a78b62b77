//go:build !linux

package control

import (
	"net"
	"path/filepath"
)

// withAddr calls f with an address for the name in home.
func withAddr(home, name string, f func(*net.UnixAddr) error) error {
	path := filepath.Join(home, name)
	if len(path) > maxPath {
		return ErrTooLong
	}
	return f(&net.UnixAddr{Net: "unix", Name: path})
}

//go:build !linux

package control

import (
	"io"
	"net"
)

func streamOf(conn *net.UnixConn) io.ReadWriteCloser { return conn }

//go:build unix

package protocol

import (
	"io"
	"syscall"
)

// socketWriter tries to write to a Unix socket that the runtime's poller
// watches, which does not block.
type socketWriter struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool // made once, and not anew for each write
	b    []byte
	n    int
	err  error
}

// quickWriterOf is for Unix sockets only: what is written to one is with the
// other end, or is refused because that has gone.
func quickWriterOf(w io.Writer) quickWriter {
	if q, ok := w.(quickWriter); ok {
		return q
	}
	c, ok := w.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	isUnix := false
	err = raw.Control(func(fd uintptr) {
		addr, err := syscall.Getsockname(int(fd))
		_, isUnix = addr.(*syscall.SockaddrUnix)
		isUnix = isUnix && err == nil
	})
	if err != nil || !isUnix {
		return nil
	}
	s := &socketWriter{conn: raw}
	s.try = func(fd uintptr) bool {
		s.n, s.err = syscall.Write(int(fd), s.b)
		return true // never wait
	}
	return s
}

func (s *socketWriter) TryWrite(b []byte) (int, error) {
	s.b, s.n, s.err = b, 0, nil
	err := s.conn.Write(s.try)
	s.b = nil
	switch {
	case err != nil: // its deadline has passed, or it is closed: a writer that waits finds out
		return 0, nil
	case s.err == syscall.EPIPE || s.err == syscall.ECONNRESET:
		return 0, s.err
	}
	return max(s.n, 0), nil
}

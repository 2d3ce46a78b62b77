package control

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox/processor"
)

// A stream is a connection that the runtime's poller watches only while somebody
// waits for it in vain: see protocol.KernelWaiter. It is like a [net.UnixConn] else.
type stream struct {
	fd int // does not block

	mu      sync.Mutex
	users   int      // calls that use fd; the last one closes it
	spare   int      // fd once more, for the poller, so that there is one when it must watch
	watched *os.File // what was spare; nil while the poller does not watch
	waiting int      // calls that use watched
	closed  bool
	readBy  time.Time
	writeBy time.Time
}

// kernelWait is how long a caller who is alone waits in the kernel, in milliseconds.
const kernelWait = 8

func streamOf(conn *net.UnixConn) io.ReadWriteCloser {
	raw, err := conn.SyscallConn()
	if err != nil {
		return conn
	}
	fd := -1
	if raw.Control(func(from uintptr) { fd, err = duplicate(int(from)) }) != nil || err != nil {
		return conn
	}
	spare, err := duplicate(fd)
	if err != nil {
		unix.Close(fd)
		return conn
	}
	conn.Close()
	return &stream{fd: fd, spare: spare}
}

func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// use begins a call that uses the descriptor until leave.
func (s *stream) use() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.users++
	return nil
}

func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.closeUnused()
}

// closeUnused closes what is open of a stream that has ended. s.mu is held.
func (s *stream) closeUnused() {
	if !s.closed || s.users > 0 {
		return
	}
	if s.watched == nil {
		unix.Close(s.spare)
	}
	unix.Close(s.fd)
}

func (s *stream) Read(b []byte) (int, error) {
	if err := s.use(); err != nil {
		return 0, err
	}
	defer s.leave()
	for {
		watched, err := s.look(&s.readBy)
		if err != nil {
			return 0, err
		}
		if watched {
			return s.watch(readWatched, b)
		}
		n, err := readNow(s.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return s.watch(readWatched, b)
		default:
			return asReader(n, err)
		}
	}
}

// TryWrite writes what the socket takes at once.
func (s *stream) TryWrite(b []byte) (int, error) {
	if s.use() != nil {
		return 0, nil
	}
	defer s.leave()
	if _, err := s.look(&s.writeBy); err != nil {
		return 0, nil // a writer that waits finds out
	}
	n, err := writeNow(s.fd, b)
	if err == unix.EPIPE || err == unix.ECONNRESET {
		return 0, os.NewSyscallError("write", err)
	}
	return max(n, 0), nil
}

func (s *stream) Write(b []byte) (int, error) {
	done, err := s.TryWrite(b)
	if err != nil || done == len(b) {
		return done, err
	}
	if err := s.use(); err != nil {
		return done, err
	}
	defer s.leave()
	n, err := s.watch((*os.File).Write, b[done:])
	return done + n, err
}

// look says whether the poller watches the socket, unless a deadline has passed.
func (s *stream) look(by *time.Time) (watched bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !by.IsZero() && !time.Now().Before(*by) {
		return false, os.ErrDeadlineExceeded
	}
	return s.watched != nil, nil
}

// readWatched reads from what the poller watches.
func readWatched(f *os.File, b []byte) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	ended := raw.Read(func(fd uintptr) bool {
		n, err = readNow(int(fd), b)
		return err != unix.EAGAIN && err != unix.EINTR
	})
	switch {
	case errors.Is(ended, os.ErrDeadlineExceeded):
		return 0, ended
	case ended != nil: // os says by another error here than for a Read that it was closed
		return 0, os.ErrClosed
	}
	return asReader(n, err)
}

// asReader is what read(2) has returned, as an [io.Reader] says it.
func asReader(n int, err error) (int, error) {
	switch {
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// watch has the poller watch the socket, and f wait for it.
func (s *stream) watch(f func(*os.File, []byte) (int, error), b []byte) (int, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, net.ErrClosed
	}
	if s.watched == nil {
		s.watched = os.NewFile(uintptr(s.spare), SocketName)
		s.watched.SetReadDeadline(s.readBy)
		s.watched.SetWriteDeadline(s.writeBy)
	}
	file := s.watched
	s.waiting++
	s.mu.Unlock()
	n, err := f(file, b)
	s.mu.Lock()
	s.waiting--
	s.mu.Unlock()
	return n, err
}

// WaitInKernel waits for something to be read, without the poller.
func (s *stream) WaitInKernel() bool {
	if s.use() != nil {
		return false
	}
	defer s.leave()
	if !s.unwatch() {
		return false
	}
	fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], kernelWait)
	return err == nil && n > 0 // whatever came of it, the next read finds out
}

// NewProcessor is for a goroutine that waits.
func (s *stream) NewProcessor() protocol.Processor { return new(place) }

// A place is a processor where a goroutine waits.
type place struct {
	choice processor.Choice
	keeper processor.Keeper
}

func (p *place) Next() uint32 { return uint32(p.choice.Next(time.Now()) + 1) }

func (p *place) Keep(n uint32) { p.keeper.Keep(int(n) - 1) }

// unwatch has the poller not watch the socket, and reports whether it does not.
func (s *stream) unwatch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false
	case s.watched == nil:
		return true
	case s.waiting > 0: // a writer is
		return false
	}
	spare, err := duplicate(s.fd)
	if err != nil {
		return false
	}
	s.watched.Close()
	s.watched, s.spare = nil, spare
	return true
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBy = t
	if s.watched != nil {
		return s.watched.SetReadDeadline(t)
	}
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy = t
	if s.watched != nil {
		return s.watched.SetWriteDeadline(t)
	}
	return nil
}

// Close ends the stream, and every call that waits.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.watched != nil {
		s.watched.Close()
	}
	if s.users > 0 {
		unix.Shutdown(s.fd, unix.SHUT_RDWR) // wakes who waits in the kernel
	}
	s.closeUnused()
	return nil
}

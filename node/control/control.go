// Package control is the door for programs of this machine: a Unix socket in
// the node's home, on which the same frames travel as between peers.
//
// The socket is open to the user who runs the node and to nobody else, root
// included: its mode is 0600, it lies in a folder of mode 0700, and the kernel
// is asked who is at the other end, on either side. Windows has such sockets
// but does not tell who is at their other end; there the folder's permissions
// are all the protection.
//
// That one node serves a home is not settled here but by the home's lock,
// which is taken first; this package only notices a socket that is in use.
package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// SocketName is the socket's name in the home.
const SocketName = "shnode.sock"

const (
	maxConns    = 64              // programs that may be connected at once; see slots
	dialTimeout = 5 * time.Second // a socket that accepts nothing for so long is not served
)

// Errors of this package.
var (
	ErrInUse      = errors.New("another node serves this home")
	ErrNotRunning = errors.New("no node is running on this home")
	ErrForeign    = errors.New("the other end of the socket belongs to another user")
	ErrOpenHome   = errors.New("the home is open to other users: its mode must be 0700")
	ErrTooLong    = errors.New("the home's path is too long for a socket")
)

// Listener is a node's control socket.
type Listener struct {
	socket *net.UnixListener
	path   string
	info   fs.FileInfo // of the socket file, so that only our own is removed
	close  func() error
}

// Listen makes the socket of a home, a folder of mode 0700. It takes the place
// of one that a dead node left behind; one that a living node serves is
// [ErrInUse].
func Listen(home string) (*Listener, error) {
	if err := checkHome(home); err != nil {
		return nil, err
	}
	path := filepath.Join(home, SocketName)
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("control: %w", err)
	case !isSocket(info):
		return nil, fmt.Errorf("control: %s is there, and is not a socket", SocketName)
	default:
		conn, err := dial(context.Background(), home)
		if err == nil {
			conn.Close()
			return nil, ErrInUse
		}
		if !errors.Is(err, ErrNotRunning) {
			return nil, err
		}
	}
	// Bound under another name, given its mode, then renamed: under its own name
	// the socket never has a mode but 0600, and there is never no socket.
	name := fmt.Sprintf(".%s.%d", SocketName, os.Getpid())
	os.Remove(filepath.Join(home, name))
	var socket *net.UnixListener
	err := withAddr(home, name, func(addr *net.UnixAddr) (err error) {
		socket, err = net.ListenUnix("unix", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	socket.SetUnlinkOnClose(false) // it would remove the name it was bound to
	l := &Listener{socket: socket, path: path}
	l.close = sync.OnceValue(l.closeOnce)
	err = os.Chmod(filepath.Join(home, name), 0o600)
	if err == nil {
		err = os.Rename(filepath.Join(home, name), path)
	}
	if err == nil {
		l.info, err = os.Lstat(path)
	}
	if err != nil {
		socket.Close()
		os.Remove(filepath.Join(home, name))
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

// Serve answers what programs ask, until ctx ends; what is in flight then is
// answered before it returns, for up to protocol.DefaultGrace.
func (l *Listener) Serve(ctx context.Context, h protocol.Handler) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.socket.Close() })
	defer stop()
	var slots slots
	for {
		conn, err := l.socket.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("control: %w", err)
		case err != nil:
			// Too many open files, mostly: it passes, and those who wait in line stay there.
			if !sleep(ctx, 100*time.Millisecond) {
				return nil
			}
			continue
		}
		process, err := sameUser(conn)
		if err != nil {
			conn.Close()
			continue
		}
		stream := streamOf(conn)
		slot := slots.take(stream, process)
		if slot == nil {
			stream.Close() // whoever it is must see that something is wrong
			continue
		}
		server := &protocol.Server{
			Door: protocol.DoorLocal,
			Handle: func(ctx context.Context, req *protocol.Request) *protocol.Response {
				if refusal := slots.begin(slot); refusal != nil {
					return refusal
				}
				defer slots.end(slot)
				resp, err := h.Handle(ctx, req)
				return protocol.Answer(req, resp, err)
			},
		}
		conns.Go(func() {
			defer slots.free(slot)
			server.Serve(ctx, stream) // why a program's stream ended is for that program
		})
	}
}

// sleep waits for d, and says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Close ends the socket and removes its file. Serve then returns; the streams
// that it serves end with its context.
func (l *Listener) Close() error { return l.close() }

func (l *Listener) closeOnce() error {
	// First the name, so that whoever finds the socket finds it served.
	if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.info) {
		os.Remove(l.path)
	}
	if err := l.socket.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Dial connects to the node that serves a home. If there is none, the error is
// [ErrNotRunning].
func Dial(ctx context.Context, home string) (*protocol.Conn, error) {
	conn, err := dial(ctx, home)
	if err != nil {
		return nil, err
	}
	return protocol.NewConn(streamOf(conn)), nil
}

func dial(ctx context.Context, home string) (*net.UnixConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var conn net.Conn
	err := withAddr(home, SocketName, func(addr *net.UnixAddr) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", addr.Name)
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), isRefused(err):
		return nil, ErrNotRunning
	default:
		return nil, fmt.Errorf("control: %w", err)
	}
	// Who could put a socket of his own in this home could have what is sent there.
	if _, err := sameUser(conn.(*net.UnixConn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

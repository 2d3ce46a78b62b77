package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stronghold-go/stronghold/protocol"
)

// BenchmarkRemote measures one remote request (a signature's, answered at once
// by memory) against a ping-pong of as many bytes on plain TCP connections, one
// for each caller, in the same run: the ratio is what the network side of a
// node costs. All callers share the node's one stream.
func BenchmarkRemote(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			asking, _, _, _ := pair(b)
			remote := asking.Remote("b")
			req := sign(b)
			req.Message = make([]byte, 200)
			request := func() error {
				resp, err := remote.Handle(context.Background(), req)
				return protocol.AsError(req, protocol.Answer(req, resp, err))
			}
			if err := request(); err != nil {
				b.Fatal(err)
			}
			pings, closeAll := pingPong(b, callers)
			defer closeAll()
			ours, theirs := time.Duration(0), time.Duration(0)
			b.ResetTimer()
			for done := 0; done < b.N; { // in turns, so that both meet the same load
				n := min(b.N-done, 2000)
				ours += timed(b, callers, n, func(int) error { return request() })
				b.StopTimer()
				theirs += timed(b, callers, n, func(caller int) error { return pings[caller]() })
				b.StartTimer()
				done += n
			}
			b.ReportMetric(float64(ours)/float64(theirs), "x-tcp")
		})
	}
}

// timed has callers do f n times together.
func timed(b *testing.B, callers, n int, f func(caller int) error) time.Duration {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	start := time.Now()
	for caller := range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(caller); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// pingPong is TCP connections on which 300 bytes are answered with 100.
func pingPong(b *testing.B, n int) (pings []func() error, closeAll func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var servers sync.WaitGroup
	var conns []net.Conn
	for range n {
		servers.Go(func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			in, out := make([]byte, 300), make([]byte, 100)
			for {
				if _, err := io.ReadFull(conn, in); err != nil {
					return
				}
				conn.Write(out)
			}
		})
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, conn)
		out, in := make([]byte, 300), make([]byte, 100)
		pings = append(pings, func() error {
			if _, err := conn.Write(out); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, in)
			return err
		})
	}
	return pings, func() {
		for _, c := range conns {
			c.Close()
		}
		servers.Wait()
		listener.Close()
	}
}

package protocol

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// within is how long a test waits for what must happen.
const within = 20 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

// request fits its operation's row.
func request(message string) *Request {
	return &Request{Id: NewID(), Operation: "ed25519.sign", Message: []byte(message),
		Location: &Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}}
}

// echo answers with the message.
func echo(_ context.Context, req *Request) *Response {
	return &Response{Status: Status_OK, Signature: req.Message}
}

// pipe is the two ends of a stream that server serves, until stop is called.
// The stream's other end is for the test.
func pipe(t *testing.T, server *Server) (end net.Conn, stop func(), served <-chan error) {
	t.Helper()
	end, other := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		result <- server.Serve(ctx, other)
		close(done)
	}()
	t.Cleanup(func() { cancel(); end.Close(); <-done })
	return end, cancel, result
}

func TestHandle(t *testing.T) {
	end, _, _ := pipe(t, &Server{Handle: echo, Door: DoorPeer})
	c := NewConn(end)
	defer c.Close()
	var all sync.WaitGroup
	for i := range 200 { // more than may be in flight
		all.Go(func() {
			want := fmt.Sprint("message ", i)
			resp, err := c.Handle(testContext(t), request(want))
			if err != nil || string(resp.Signature) != want {
				t.Errorf("got %v, %v", resp, err)
			}
		})
	}
	all.Wait()
	if resp, err := c.Handle(testContext(t), &Request{Id: NewID(), Operation: "zone.fold"}); err != nil || resp.Status != Status_UNSUPPORTED {
		t.Errorf("not for this door: %v, %v", resp, err)
	}
}

// TestBigFrames: the greatest frames pass both ways, and those that fit no frame
// harm nothing else on the stream.
func TestBigFrames(t *testing.T) {
	big := MaxFrame - 200
	end, _, _ := pipe(t, &Server{Door: DoorPeer, Handle: func(_ context.Context, req *Request) *Response {
		return &Response{Status: Status_OK, Signature: make([]byte, big+int(req.TimeoutMs)-1)}
	}})
	c := NewConn(end)
	defer c.Close()
	ask := func(message, more int) (*Response, error) {
		req := request(string(make([]byte, message)))
		req.TimeoutMs = uint32(more + 1)
		// The timeout, used here to say how long the answer is, ends the handler's context and nothing else.
		return c.Handle(testContext(t), req)
	}
	if resp, err := ask(big, 0); err != nil || len(resp.Signature) != big {
		t.Errorf("big: %v", err)
	}
	if resp, err := ask(1, 1000); err != nil || resp.Status != Status_INTERNAL {
		t.Errorf("an answer that is too long: %v, %v", resp.GetStatus(), err)
	}
	if _, err := ask(MaxFrame, 0); !errors.Is(err, ErrFrameTooLong) || !errors.Is(err, ErrNotSent) {
		t.Errorf("a request that is too long: %v", err)
	}
	if _, err := ask(1, 0); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestConnClosed: whatever ends a stream, its callers are told, and whether
// their request had left.
func TestConnClosed(t *testing.T) {
	for name, end := range map[string]func(c *Conn, server net.Conn){
		"closed here":  func(c *Conn, _ net.Conn) { c.Close() },
		"closed there": func(_ *Conn, server net.Conn) { server.Close() },
		"noise":        func(_ *Conn, server net.Conn) { server.Write([]byte{0x80, 0x00}) },
		"a request": func(_ *Conn, server net.Conn) {
			b, _ := AppendFrame(nil, &Frame{Id: 1, Body: &Frame_Request{Request: &Request{}}})
			server.Write(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			defer there.Close()
			c := NewConn(here)
			defer c.Close()
			failed := make(chan error, 1)
			go func() { _, err := c.Handle(testContext(t), request("in flight")); failed <- err }()
			if _, err := ReadFrame(bufio.NewReader(there)); err != nil {
				t.Fatal(err)
			}
			end(c, there)
			if err := <-failed; err == nil || errors.Is(err, ErrNotSent) {
				t.Errorf("the one in flight: %v", err)
			}
			<-c.Done()
			if _, err := c.Handle(testContext(t), request("too late")); !errors.Is(err, ErrNotSent) {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

// TestAskerLeaves: the answer that comes too late is for nobody, and the stream goes on.
func TestAskerLeaves(t *testing.T) {
	release := make(chan struct{})
	end, _, _ := pipe(t, &Server{Door: DoorPeer, Handle: func(_ context.Context, req *Request) *Response {
		if string(req.Message) == "slow" {
			<-release
		}
		return echo(t.Context(), req)
	}})
	c := NewConn(end)
	defer c.Close()
	ctx, leave := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { _, err := c.Handle(ctx, request("slow")); failed <- err }()
	if _, err := c.Handle(testContext(t), request("fast")); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if resp, err := c.Handle(testContext(t), request("next")); err != nil || string(resp.Signature) != "next" {
		t.Errorf("got %v, %v", resp, err)
	}
	if _, err := c.Handle(ctx, request("never")); !errors.Is(err, ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestFullStream: the other end does not read. Who stops waiting may go, and the
// stream ends when the write has had its time.
func TestFullStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c := NewConn(here)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		var all sync.WaitGroup
		for range 8 { // some wait for an answer, and some for room
			all.Go(func() {
				if _, err := c.Handle(ctx, request(string(make([]byte, MaxFrame/2)))); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("they were held for %v", took)
		}
		<-c.Done()
		if took := time.Since(start); took != DefaultFrameTimeout {
			t.Errorf("the stream ended after %v", took)
		}
		c.Close()
	})
}

// TestIdle: a stream may be silent for as long as it likes.
func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end, _, _ := pipe(t, &Server{Handle: echo, Door: DoorPeer})
		c := NewConn(end)
		defer c.Close()
		for range 3 {
			if _, err := c.Handle(t.Context(), request("hello")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour) // of the bubble's clock
		}
	})
}

// TestSlowFrames: a frame that has begun must come within its time, however it
// is cut, and though bytes come all the while.
func TestSlowFrames(t *testing.T) {
	frame, err := AppendFrame(nil, &Frame{Id: 1, Body: &Frame_Request{Request: request(string(make([]byte, 300)))}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		first int
		every time.Duration
	}{
		"half a length":    {1, 0},
		"a length":         {2, 0},
		"half a message":   {len(frame) / 2, 0},
		"all but one byte": {len(frame) - 1, 0},
		"drop by drop":     {1, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				end, _, served := pipe(t, &Server{Handle: echo, Door: DoorPeer})
				time.Sleep(time.Hour)
				start := time.Now()
				end.Write(frame[:test.first])
				for i := test.first; test.every > 0 && i < len(frame); i++ {
					time.Sleep(test.every)
					if _, err := end.Write(frame[i : i+1]); err != nil {
						break
					}
				}
				if err := <-served; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("served: %v", err)
				}
				// The length has its time, and so has what follows it.
				if took := time.Since(start); took > 2*DefaultFrameTimeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestInFlightLimit: at the limit nothing more is read, and nothing is lost.
func TestInFlightLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 3
		now, release := make(chan struct{}, 100), make(chan struct{})
		end, _, _ := pipe(t, &Server{Door: DoorPeer, InFlight: limit, Handle: func(_ context.Context, req *Request) *Response {
			now <- struct{}{}
			<-release
			return echo(t.Context(), req)
		}})
		c := NewConn(end)
		defer c.Close()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := c.Handle(t.Context(), request("hello")); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second) // one that came alone is answered by the reader, which is relieved after a while
		synctest.Wait()
		if len(now) != limit {
			t.Errorf("%d are under way", len(now))
		}
		close(release)
		all.Wait()
	})
}

// TestAdmit: room is asked for before a frame is read, given back when it is
// answered or proves bad, and without room there is no stream.
func TestAdmit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var sizes []int
		held := 0
		refuse := errors.New("no room")
		server := &Server{Handle: echo, Door: DoorPeer, Admit: func(_ context.Context, size int) (func(), error) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, size)
			if size == 5 {
				return nil, refuse
			}
			held++
			return func() {
				mu.Lock()
				defer mu.Unlock()
				held--
			}, nil
		}}
		end, _, _ := pipe(t, server)
		c := NewConn(end)
		if _, err := c.Handle(t.Context(), request("hello")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if held != 0 || len(sizes) != 1 {
			t.Errorf("after an answer %d are held, sizes %d", held, sizes)
		}
		c.Close()

		end, _, served := pipe(t, server)
		end.Write([]byte{3, 0xff, 0xff, 0xff})
		if err := <-served; !errors.Is(err, ErrMalformed) || held != 0 {
			t.Errorf("after a bad frame: %v, %d are held", err, held)
		}
		end, _, served = pipe(t, server)
		end.Write([]byte{5}) // only the length: the rest is not waited for
		if err := <-served; err != refuse || held != 0 {
			t.Errorf("without room: %v, %d are held", err, held)
		}
	})
}

// TestStop: told to stop, a server reads nothing more, and answers what it has read.
func TestStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		end, stop, served := pipe(t, &Server{Door: DoorPeer, Handle: func(_ context.Context, req *Request) *Response {
			<-release
			return echo(t.Context(), req)
		}})
		c := NewConn(end)
		defer c.Close()
		answered := make(chan error, 1)
		go func() { _, err := c.Handle(t.Context(), request("in time")); answered <- err }()
		synctest.Wait()
		stop()
		synctest.Wait()
		go c.Handle(t.Context(), request("too late"))
		time.Sleep(DefaultGrace / 2)
		close(release)
		if err := <-answered; err != nil {
			t.Errorf("in flight: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("served: %v", err)
		}
		<-c.Done()
	})
}

// TestGrace: what takes longer than the grace is told to end, and still answers.
func TestGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end, stop, served := pipe(t, &Server{Door: DoorPeer, Grace: 3 * time.Second, Handle: func(ctx context.Context, req *Request) *Response {
			<-ctx.Done()
			return Refuse(Status_UNAVAILABLE, "")
		}})
		c := NewConn(end)
		defer c.Close()
		answered := make(chan *Response, 1)
		go func() { resp, _ := c.Handle(t.Context(), request("endless")); answered <- resp }()
		synctest.Wait()
		start := time.Now()
		stop()
		if resp := <-answered; resp.GetStatus() != Status_UNAVAILABLE {
			t.Errorf("got %v", resp)
		}
		<-served
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestTimeout: a request has the time that its asker waits, within the limit.
func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		end, _, _ := pipe(t, &Server{Door: DoorPeer, Handle: func(ctx context.Context, req *Request) *Response {
			<-ctx.Done()
			return Answer(req, nil, ctx.Err())
		}})
		c := NewConn(end)
		defer c.Close()
		for ms, want := range map[uint32]time.Duration{0: DefaultTimeout, 1: time.Millisecond, 1500: 1500 * time.Millisecond, 1<<32 - 1: MaxTimeout} {
			start := time.Now()
			req := request("hello")
			req.TimeoutMs = ms
			resp, err := c.Handle(t.Context(), req)
			if err != nil || resp.Status != Status_UNAVAILABLE || time.Since(start) != want {
				t.Errorf("%d ms: %v, %v after %v", ms, resp, err, time.Since(start))
			}
		}
	})
}

// TestServeBadFrame: what came before the bad frame is answered, and the stream ends.
func TestServeBadFrame(t *testing.T) {
	end, _, served := pipe(t, &Server{Handle: echo, Door: DoorPeer})
	in, _ := AppendFrame(nil, &Frame{Id: 9, Body: &Frame_Request{Request: request("hello")}})
	answers := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(end); answers <- b }()
	end.Write(append(in, 0x01, 0xff))
	if err := <-served; !errors.Is(err, ErrMalformed) {
		t.Errorf("served: %v", err)
	}
	f, err := ReadFrame(bufio.NewReader(bytes.NewReader(<-answers)))
	if err != nil || f.Id != 9 || string(f.GetResponse().GetSignature()) != "hello" {
		t.Errorf("answered %v, %v", f, err)
	}
}

package protocol

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowRequest: a request that takes long, though its kind does not, holds up
// the others on its stream for a few milliseconds, and an answer that is not
// read holds up none.
func TestSlowRequest(t *testing.T) {
	for name, unread := range map[string]bool{"a stuck request": false, "an answer that is not read": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				var mu sync.Mutex
				seen := map[string]time.Time{}
				end, _, _ := pipe(t, &Server{Door: DoorPeer, Handle: func(_ context.Context, req *Request) *Response {
					mu.Lock()
					seen[string(req.Message)] = time.Now()
					mu.Unlock()
					if string(req.Message) == "slow" && !unread {
						<-release
					}
					return echo(t.Context(), req)
				}})
				start := time.Now()
				for i, message := range []string{"slow", "quick"} {
					b, err := AppendFrame(nil, &Frame{Id: uint64(i), Body: &Frame_Request{Request: request(message)}})
					if err != nil {
						t.Fatal(err)
					}
					end.Write(b)
				}
				time.Sleep(time.Second)
				mu.Lock()
				at, ok := seen["quick"]
				mu.Unlock()
				if !ok || at.Sub(start) > 2*patience {
					t.Errorf("the next one was begun: %t, after %v", ok, at.Sub(start))
				}
				close(release)
				end.Close()
			})
		})
	}
}

// TestLoneAsker: whoever is alone reads for himself, and still sees his context
// end, the stream end, and others come.
func TestLoneAsker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		end, _, _ := pipe(t, &Server{Door: DoorPeer, Handle: func(_ context.Context, req *Request) *Response {
			if string(req.Message) == "stuck" {
				<-release
			}
			return echo(t.Context(), req)
		}})
		c := newConn(end, newFrameWriter(end), true)
		defer c.Close()
		reads := func() (somebody, anAsker bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.reading, c.leader != nil
		}
		ask := func(ctx context.Context, message string) error {
			resp, err := c.Handle(ctx, request(message))
			if err == nil && string(resp.Signature) != message {
				t.Errorf("asked %q, answered %q", message, resp.Signature)
			}
			return err
		}
		if err := ask(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if somebody, _ := reads(); somebody {
			t.Error("nobody waits, and somebody reads")
		}
		if err := ask(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}

		synctest.Wait() // the pipe's writes are made by a goroutine
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- ask(ctx, "stuck") }()
		synctest.Wait()
		if _, anAsker := reads(); !anAsker {
			t.Error("the asker does not read")
		}
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) || time.Since(start) > 3*patience {
			t.Errorf("left after %v: %v", time.Since(start), err)
		}

		// Company, before and after it has become known that the first one waits long.
		go func() { left <- ask(t.Context(), "stuck") }()
		synctest.Wait()
		for range 5 {
			if err := ask(t.Context(), "quick"); err != nil {
				t.Error(err)
			}
			time.Sleep(patience / 2)
		}
		close(release)
		if err := <-left; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if somebody, anAsker := reads(); !somebody || anAsker {
			t.Errorf("idle: somebody reads: %t, an asker: %t", somebody, anAsker)
		}
		if err := ask(t.Context(), "after a rest"); err != nil {
			t.Error(err)
		}
	})
}

// TestIdleEnd: the end of a stream is noticed though nobody asks, and whenever.
func TestIdleEnd(t *testing.T) {
	for _, pause := range []time.Duration{0, patience / 2, time.Hour} {
		bubble(t, func(t *testing.T) {
			end, stop, _ := pipe(t, &Server{Handle: echo, Door: DoorPeer})
			c := newConn(end, newFrameWriter(end), true)
			defer c.Close()
			for range 3 {
				if _, err := c.Handle(t.Context(), request("hello")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(pause)
			start := time.Now()
			stop()
			<-c.Done()
			if took := time.Since(start); took > 3*patience {
				t.Errorf("after a pause of %v it was noticed after %v", pause, took)
			}
			if _, err := c.Handle(t.Context(), request("too late")); !errors.Is(err, ErrNotSent) {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

// TestLimitedContext: it is what context.WithDeadline gives, whoever asks first.
func TestLimitedContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		for name, look := range map[string]func(context.Context){
			"nobody looked":   func(context.Context) {},
			"somebody waited": func(ctx context.Context) { ctx.Done() },
			"a child":         func(ctx context.Context) { context.AfterFunc(ctx, func() {}) },
		} {
			for _, cause := range []string{"time", "parent", "release"} {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, name))
				ctx := &limitedContext{Context: parent, at: time.Now().Add(time.Second)}
				look(ctx)
				if ctx.Err() != nil || ctx.Value(key{}) != name {
					t.Errorf("%s: it has ended before: %v", name, ctx.Err())
				}
				if at, ok := ctx.Deadline(); !ok || time.Until(at) != time.Second {
					t.Errorf("%s: its deadline: %v, %t", name, at, ok)
				}
				want := context.Canceled
				switch cause {
				case "time":
					time.Sleep(time.Second)
					synctest.Wait()
					want = context.DeadlineExceeded
				case "parent":
					cancel()
				case "release":
					ctx.release()
				}
				if ctx.Err() != want {
					t.Errorf("%s: ended by %s: %v", name, cause, ctx.Err())
				}
				<-ctx.Done()
				if ctx.Err() != want {
					t.Errorf("%s: ended by %s, a second look: %v", name, cause, ctx.Err())
				}
				ctx.release()
				cancel()
			}
		}
	})
}

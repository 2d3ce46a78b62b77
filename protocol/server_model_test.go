package protocol

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whatever is sent, times out, is answered or hung up in whatever order: what a request
// holds it holds until the work on it has ended, and there is no more work than that.
func TestServerModel(t *testing.T) {
	const inFlight = 3
	steps, failed := 0, 0
	defer func() {
		if t.Failed() {
			t.Logf("found after %d steps", failed)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			ended := false
			held, sent := 0, 0
			var working []chan struct{}
			var far net.Conn
			var over chan error
			begin := func() {
				var near net.Conn
				near, far = net.Pipe()
				over, sent = make(chan error, 1), 0
				s := &Server{InFlight: inFlight, Door: DoorPeer,
					Admit: func(context.Context, int) (func(), error) {
						held++
						return func() { held-- }, nil
					},
					Handle: func(context.Context, *Request) *Response {
						end := make(chan struct{})
						working = append(working, end)
						<-end
						return &Response{Status: Status_OK}
					}}
				go func() { over <- s.Serve(context.Background(), near) }()
				go io.Copy(io.Discard, far)
			}
			end := func(i int) {
				work := working[i]
				working = slices.Delete(working, i, i+1)
				sent--
				close(work)
				synctest.Wait()
			}
			finish := func() {
				far.Close()
				synctest.Wait()
				for len(working) > 0 {
					end(0)
				}
			}
			defer func() {
				if !ended && failed == 0 {
					failed = steps
				}
				finish()
			}()
			begin()
			t.Repeat(map[string]func(*rapid.T){
				"send": func(t *rapid.T) {
					if sent > inFlight { // one waits to be read
						t.Skip()
					}
					req := &Request{Id: NewID(), Operation: "key.generate", Kind: Ed25519, Location: &Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")},
						TimeoutMs: rapid.SampledFrom([]uint32{0, 1}).Draw(t, "timeout")}
					b, err := AppendFrame(nil, &Frame{Id: uint64(steps), Body: &Frame_Request{Request: req}})
					if err != nil {
						t.Fatal(err)
					}
					sent++
					conn := far
					go conn.Write(b)
				},
				"end": func(t *rapid.T) {
					if len(working) == 0 {
						t.Skip()
					}
					end(rapid.IntRange(0, len(working)-1).Draw(t, "which"))
				},
				"time passes": func(t *rapid.T) { time.Sleep(10 * time.Millisecond) },
				"hang up": func(t *rapid.T) {
					if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
						t.Skip()
					}
					far.Close()
					synctest.Wait()
					if held != len(working) {
						t.Fatalf("hung up: %d hold a slot, %d are worked on", held, len(working))
					}
					finish()
					<-over
					begin()
				},
				"": func(t *rapid.T) {
					steps++
					synctest.Wait()
					if want := min(sent, inFlight); len(working) != want || held != want {
						t.Fatalf("%d hold a slot, %d are worked on; want %d", held, len(working), want)
					}
				},
			})
			ended = true
		})
	})
}

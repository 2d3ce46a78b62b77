package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestPolicy asks every operation that a peer may ask, with the right and without.
func TestPolicy(t *testing.T) {
	a, _, _, bm := pair(t)
	asked := 0
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if op.Door != protocol.DoorPeer {
			continue
		}
		asked++
		t.Run(op.Name, func(t *testing.T) {
			on, name := "wallet/keys/*", op.Name
			if name == "pipeline.run" {
				name = "key.generate" // rules speak of its steps
			}
			if access := op.Accesses(requestFor(t, op, "wallet/keys/main"))[0]; access.Class == protocol.StoreRead || access.Class == protocol.StoreWrite {
				on = "wallet/keys"
			}
			for _, test := range []struct {
				why     string
				policy  string
				at      string
				allowed bool
			}{
				{"by its name", `[[allow]]
peers = ["a"]
ops = ["` + name + `"]
on = ["` + on + `"]`, "wallet/keys/main", true},
				{"by its class", allowAll, "wallet/keys/main", true},
				{"no policy", "", "wallet/keys/main", false},
				{"elsewhere", allowAll, "other/keys/main", false},
				{"denied", allowAll + `
[[deny]]
peers = ["a"]
ops = ["` + name + `"]
on = ["**"]`, "wallet/keys/main", false},
			} {
				bm.setPolicy(t, test.policy)
				before := bm.handled.Load()
				resp, err := a.Remote("b").Handle(testContext(t), requestFor(t, op, test.at))
				if err != nil {
					t.Fatal(err)
				}
				handled := bm.handled.Load() > before
				if test.allowed {
					if resp.Status != protocol.Status_OK || !handled {
						t.Errorf("%s: got %v, handled %t", test.why, resp, handled)
					}
					continue
				}
				// What is refused is refused before the engine is asked, and without a word.
				if handled || !sameAnswer(resp, &protocol.Response{Status: protocol.Status_DENIED}) {
					t.Errorf("%s: got %v, handled %t", test.why, resp, handled)
				}
			}
		})
	}
	if asked == 0 {
		t.Error("no operation was asked")
	}
}

// TestLocalOperations: what is for the local door or the zone does not exist for a peer.
func TestLocalOperations(t *testing.T) {
	a, _, _, bm := pair(t)
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if op.Door == protocol.DoorPeer {
			continue
		}
		resp, err := a.Remote("b").Handle(testContext(t), requestFor(t, op, "wallet/keys/main"))
		if err != nil || resp.Status != protocol.Status_UNSUPPORTED {
			t.Errorf("%s: got %v, %v", op.Name, resp, err)
		}
	}
	if bm.handled.Load() != 0 {
		t.Error("one was handled")
	}
	// Nor does one who is allowed to ask b get to ask others through it.
	req := sign(t)
	req.To = "a"
	if resp, err := a.Remote("b").Handle(testContext(t), req); err != nil || resp.Status != protocol.Status_INVALID {
		t.Errorf("through b: got %v, %v", resp, err)
	}
}

// TestAbsentAndDeniedAreOne: the engine knows a record or not; who has no right
// cannot tell.
func TestAbsentAndDeniedAreOne(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		if string(req.Location.Record) == "there" {
			return &protocol.Response{Status: protocol.Status_OK, Signature: make([]byte, 64)}, nil
		}
		return protocol.Refuse(protocol.Status_NOT_FOUND, "no such record"), nil
	})
	ask := func(at string) *protocol.Response {
		req := sign(t)
		req.Location = location(t, at)
		resp, err := a.Remote("b").Handle(testContext(t), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if there, gone := ask("wallet/other/there"), ask("wallet/other/gone"); !sameAnswer(there, gone) {
		t.Errorf("%v and %v", there, gone)
	}
	if resp := ask("wallet/keys/gone"); resp.Status != protocol.Status_NOT_FOUND || resp.Detail == "" {
		t.Errorf("who has the right is told %v", resp)
	}
}

// TestOutward: a peer sees the fields of the operation's row, whatever the engine answers.
func TestOutward(t *testing.T) {
	a, _, _, bm := pair(t)
	full := &protocol.Response{Status: protocol.Status_OK, Signature: []byte("s"), PublicKey: []byte("p"), Sealed: []byte("x"),
		Node: &protocol.NodeStatus{PeerId: "b"}, Text: "t", Change: &protocol.Change{Sequence: 1}, Snapshot: []byte("snap"), Detail: "d"}
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) { return full, nil })
	resp := do(t, a.Remote("b"), sign(t))
	if !sameAnswer(resp, &protocol.Response{Status: protocol.Status_OK, Signature: []byte("s"), Detail: "d"}) {
		t.Errorf("got %v", resp)
	}
	for _, bad := range []protocol.HandlerFunc{
		func(context.Context, *protocol.Request) (*protocol.Response, error) { return nil, nil },
		func(context.Context, *protocol.Request) (*protocol.Response, error) {
			return nil, errors.New("/root/secret path")
		},
		func(context.Context, *protocol.Request) (*protocol.Response, error) { return &protocol.Response{}, nil },
		func(context.Context, *protocol.Request) (*protocol.Response, error) {
			return protocol.Refuse(protocol.Status_INTERNAL, "line 7"), nil
		},
		func(context.Context, *protocol.Request) (*protocol.Response, error) { panic("a secret") },
		func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
			return nil, []error{}[len(req.Id)]
		},
	} {
		bm.instead(bad)
		resp, err := a.Remote("b").Handle(testContext(t), sign(t))
		if err != nil || !sameAnswer(resp, &protocol.Response{Status: protocol.Status_INTERNAL}) {
			t.Errorf("got %v, %v", resp, err)
		}
	}
}

// TestLog: a denial is told to the operator, with its reason and without the
// record; a panic with where it was and without what it held.
func TestLog(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelInfo}))
	a, _, _, bm := pair(t, func(cfg *Config) { cfg.Log = log })
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) { panic("a secret") })
	a.Remote("b").Handle(testContext(t), sign(t))
	bm.setPolicy(t, "")
	a.Remote("b").Handle(testContext(t), sign(t))
	mu.Lock()
	defer mu.Unlock()
	got := out.String()
	for _, want := range []string{"request denied", "operation=ed25519.sign", "request_id=", "peer=" + a.ID(), "reason=", "request panicked"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	for _, secret := range []string{"wallet", "main", "hello", "a secret"} {
		if strings.Contains(got, "="+secret) || strings.Contains(got, "\""+secret) || strings.Contains(got, "a secret") {
			t.Errorf("the log tells %q:\n%s", secret, got)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestPolicyBitesAtOnce, on a stream that is open.
func TestPolicyBitesAtOnce(t *testing.T) {
	a, _, _, bm := pair(t)
	for range 20 {
		bm.setPolicy(t, allowAll)
		if resp, err := a.Remote("b").Handle(testContext(t), sign(t)); err != nil || resp.Status != protocol.Status_OK {
			t.Fatalf("allowed: %v, %v", resp, err)
		}
		bm.setPolicy(t, "")
		if resp, err := a.Remote("b").Handle(testContext(t), sign(t)); err != nil || resp.Status != protocol.Status_DENIED {
			t.Fatalf("no longer: %v, %v", resp, err)
		}
	}
}

// TestRevoked: a peer is removed while its stream is open and a request under way.
func TestRevoked(t *testing.T) {
	a, b, _, bm := pair(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		close(arrived)
		<-release
		return &protocol.Response{Status: protocol.Status_OK}, nil
	})
	failed := make(chan error, 1)
	go func() { _, err := a.Remote("b").Handle(testContext(t), sign(t)); failed <- err }()
	wait(t, "the request", arrived)
	bm.RemovePeer("a")
	if err := wait(t, "the asker", failed); err == nil {
		t.Error("a removed peer was answered")
	}
	close(release)
	eventually(t, "the connection is closed", func() bool {
		return b.host.Network().Connectedness(a.host.ID()) == network.NotConnected
	})
	if _, err := a.Remote("b").Handle(testContext(t), sign(t)); !errors.Is(err, ErrRefused) {
		t.Errorf("asked again: %v", err)
	}
	if got := bm.handled.Load(); got != 1 {
		t.Errorf("%d requests were handled", got)
	}
	// In the other direction too: b does not ask whom it does not know.
	if _, err := b.Remote(a.ID()).Handle(testContext(t), sign(t)); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("the other way: %v", err)
	}
}

// rawStream is a stream from a to b for a test to write on what it likes.
func rawStream(t *testing.T, a, b *Node) network.Stream {
	t.Helper()
	s, err := a.open(testContext(t), b.host.ID())
	if err != nil {
		t.Fatal(err)
	}
	s.SetDeadline(time.Now().Add(within))
	t.Cleanup(func() { s.Reset() })
	return s
}

// TestBadFrames: whatever a known peer sends, its stream ends and the node goes on.
func TestBadFrames(t *testing.T) {
	a, b, _, bm := pair(t)
	good, err := protocol.AppendFrame(nil, &protocol.Frame{Id: 1, Body: &protocol.Frame_Request{Request: sign(t)}})
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := protocol.AppendFrame(nil, &protocol.Frame{Id: 1, Body: &protocol.Frame_Response{Response: &protocol.Response{}}})
	for name, in := range map[string][]byte{
		"too long":          binary.AppendUvarint(nil, protocol.MaxFrame+1),
		"an endless length": bytes.Repeat([]byte{0xff}, 20),
		"not minimal":       {0x80, 0x00},
		"empty":             {0x00},
		"garbled":           append(binary.AppendUvarint(nil, 200), bytes.Repeat([]byte{0xa5}, 200)...),
		"an unknown field":  append([]byte{byte(len(good) - 1 + 3)}, append(bytes.Clone(good[1:]), 0xc0, 0x3e, 0x01)...),
		"an answer":         answer,
		"HTTP":              []byte("GET /" + strings.Repeat("a", 100) + " HTTP/1.1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			before := bm.handled.Load()
			s := rawStream(t, a, b)
			if _, err := s.Write(in); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(s); len(rest) != 0 {
				t.Errorf("got %x, %v", rest, err)
			}
			if bm.handled.Load() != before {
				t.Error("it was handled")
			}
		})
	}
	t.Run("cut", func(t *testing.T) {
		s := rawStream(t, a, b)
		s.Write(good[:len(good)-1])
		s.CloseWrite()
		if rest, err := io.ReadAll(s); len(rest) != 0 {
			t.Errorf("got %x, %v", rest, err)
		}
	})
	t.Run("an unknown operation", func(t *testing.T) {
		req := sign(t)
		req.Operation = "ed25519.steal"
		resp, err := a.Remote("b").Handle(testContext(t), req)
		if err != nil || resp.Status != protocol.Status_UNSUPPORTED {
			t.Errorf("got %v, %v", resp, err)
		}
	})
	do(t, a.Remote("b"), sign(t))
}

// TestAnsweredBeforeBadFrame: what came before the bad frame is answered.
func TestAnsweredBeforeBadFrame(t *testing.T) {
	a, b, _, _ := pair(t)
	s := rawStream(t, a, b)
	in, _ := protocol.AppendFrame(nil, &protocol.Frame{Id: 1, Body: &protocol.Frame_Request{Request: sign(t)}})
	s.Write(append(in, 0x80, 0x00))
	r := bufio.NewReader(s)
	if f, err := protocol.ReadFrame(r); err != nil || f.GetResponse().GetStatus() != protocol.Status_OK {
		t.Errorf("got %v, %v", f, err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the stream goes on")
	}
}

// TestSlowFrame: a frame that has begun must come; a stream that is silent may stay.
func TestSlowFrame(t *testing.T) {
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Limits.FrameTimeout = 100 * time.Millisecond })
	idle := rawStream(t, a, b)
	slow := rawStream(t, a, b)
	slow.Write([]byte{0x20, 0x12})
	start := time.Now()
	if _, err := io.ReadAll(slow); err != nil && time.Since(start) > within/2 {
		t.Errorf("the slow stream stayed for %v", time.Since(start))
	}
	in, _ := protocol.AppendFrame(nil, &protocol.Frame{Id: 1, Body: &protocol.Frame_Request{Request: sign(t)}})
	idle.Write(in)
	if f, err := protocol.ReadFrame(bufio.NewReader(idle)); err != nil || f.GetResponse().GetStatus() != protocol.Status_OK {
		t.Errorf("the silent stream: %v, %v", f, err)
	}
	if bm.handled.Load() != 1 {
		t.Errorf("%d requests were handled", bm.handled.Load())
	}
}

// TestStreamLimit: a peer has so many streams and no more, and gets new ones for old.
func TestStreamLimit(t *testing.T) {
	a, b, _, _ := pair(t, func(cfg *Config) { cfg.Limits.StreamsPerPeer = 3 })
	ask := func(s network.Stream) error {
		in, _ := protocol.AppendFrame(nil, &protocol.Frame{Id: 1, Body: &protocol.Frame_Request{Request: sign(t)}})
		if _, err := s.Write(in); err != nil {
			return err
		}
		_, err := protocol.ReadFrame(bufio.NewReader(s))
		return err
	}
	var open []network.Stream
	for range 3 {
		s := rawStream(t, a, b)
		if err := ask(s); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	s, err := a.open(testContext(t), b.host.ID())
	if err == nil {
		s.SetDeadline(time.Now().Add(within))
		err = ask(s)
		s.Reset()
	}
	if turnedAway(err) != ErrBusy {
		t.Errorf("the fourth stream: %v", err)
	}
	open[0].Close()
	eventually(t, "there is room again", func() bool {
		s, err := a.open(testContext(t), b.host.ID())
		if err != nil {
			return false
		}
		defer s.Reset()
		s.SetDeadline(time.Now().Add(within))
		return ask(s) == nil
	})
}

// TestInFlightPerPeer: a peer with many streams has no more under way than one
// with one, and the rest waits.
func TestInFlightPerPeer(t *testing.T) {
	const limit, streams, each = 4, 3, 4
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Limits.InFlightPerPeer = limit })
	arrived, release := make(chan struct{}, streams*each), make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		arrived <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		return &protocol.Response{Status: protocol.Status_OK}, nil
	})
	var readers sync.WaitGroup
	for range streams {
		s := rawStream(t, a, b)
		var in []byte
		for i := range each {
			in, _ = protocol.AppendFrame(in, &protocol.Frame{Id: uint64(i), Body: &protocol.Frame_Request{Request: sign(t)}})
		}
		if _, err := s.Write(in); err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			r := bufio.NewReader(s)
			for range each {
				if _, err := protocol.ReadFrame(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range limit {
		wait(t, "the first requests", arrived)
	}
	close(release)
	readers.Wait()
	if most > limit {
		t.Errorf("%d were under way at once", most)
	}
	// What he has had is remembered when he hangs up, so that it does not help him to come again; and forgotten with him.
	account := func() (streams int, known bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if a := b.askers[a.host.ID()]; a != nil {
			return a.streams, true
		}
		return 0, false
	}
	eventually(t, "the peer is gone", func() bool {
		a.host.Network().ClosePeer(b.host.ID())
		streams, _ := account()
		return streams == 0
	})
	if _, known := account(); !known {
		t.Error("the account of a known peer was dropped")
	}
	bm.RemovePeer("a")
	if _, known := account(); known {
		t.Error("the account of a peer who was removed is there")
	}
}

// TestRequestsASecond: who asks faster than he may is told when to ask again, also on
// another connection, and others are not.
func TestRequestsASecond(t *testing.T) {
	const limit = 20
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Limits.RequestsPerSecond = limit })
	other := newNode(t, newMemory(t))
	addPeer(t, other, "b", b)
	addPeer(t, b, "other", other)
	bm.setPolicy(t, strings.ReplaceAll(allowAll, `"a"`, `"a", "other"`))
	limited, began := 0, time.Now()
	for i := range 10 * limit {
		resp, err := a.Remote("b").Handle(testContext(t), sign(t))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status == protocol.Status_LIMITED {
			if limited++; resp.RetryAfterMs == 0 || resp.RetryAfterMs > 1100 {
				t.Fatalf("to be asked again after %d ms", resp.RetryAfterMs)
			}
		}
		if i == 5*limit {
			a.host.Network().ClosePeer(b.host.ID())
		}
	}
	most := limit + int(limit*time.Since(began).Seconds()) + 1
	if got := int(bm.handled.Load()); got+limited != 10*limit || got > most {
		t.Errorf("%d were done and %d were not", got, limited)
	}
	do(t, other.Remote("b"), sign(t))
}

// TestUnreadAnswers: a peer who asks for much and reads nothing has little of it made,
// and all of it when he reads.
func TestUnreadAnswers(t *testing.T) {
	const streams, each = 4, 64
	a, b, _, bm := pair(t, func(cfg *Config) { cfg.Limits.FrameTimeout = within })
	bm.instead(func(context.Context, *protocol.Request) (*protocol.Response, error) {
		return &protocol.Response{Status: protocol.Status_OK, Value: make([]byte, protocol.MaxValue)}, nil
	})
	get := &protocol.Request{Id: protocol.NewID(), Operation: "store.get", Location: location(t, "wallet/keys")}
	var open []network.Stream
	for range streams {
		s := rawStream(t, a, b)
		var in []byte
		for i := range each {
			in, _ = protocol.AppendFrame(in, &protocol.Frame{Id: uint64(i), Body: &protocol.Frame_Request{Request: get}})
		}
		if _, err := s.Write(in); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	// What is made comes to an end.
	made, since := int64(-1), time.Now()
	eventually(t, "no more is made", func() bool {
		if now := bm.handled.Load(); now != made {
			made, since = now, time.Now()
		}
		return made > 0 && time.Since(since) > 300*time.Millisecond
	})
	// Some has left for the streams' windows.
	if most := int64(streams*(protocol.MaxFrame/protocol.MaxValue+1) + 8<<20/protocol.MaxValue); made > most {
		t.Errorf("%d answers are made, of which at most %d can have left or have room", made, most)
	}
	var readers sync.WaitGroup
	for _, s := range open {
		readers.Go(func() {
			r := bufio.NewReader(s)
			for range each {
				if f, err := protocol.ReadFrame(r); err != nil || len(f.GetResponse().GetValue()) != protocol.MaxValue {
					t.Errorf("got %v, %v", f.GetResponse().GetStatus(), err)
					return
				}
			}
		})
	}
	readers.Wait()
	b.mu.Lock()
	who := b.askers[a.host.ID()]
	b.mu.Unlock()
	eventually(t, "all room is given back", func() bool {
		if who.answers.TryAcquire(8 << 20) {
			who.answers.Release(8 << 20)
			return true
		}
		return false
	})
}

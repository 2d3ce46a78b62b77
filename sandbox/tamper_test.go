package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"syscall"
	"testing"
	"time"
)

// What comes over a pipe that the other side has not sent ends the zone. The lanes are used by hand here, before any
// caller or with the writer's sealer in its place: a lane is idle when nobody calls.

// rawRecord seals one echo request as a lane would, without a caller.
func rawRecord(t *testing.T, l *lane, id uint64) []byte {
	t.Helper()
	request := []byte("esomething")
	b := appendRequest(newRecord(nil), id, 0, request, timeHead+len(request))
	b, err := l.out.seal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

func write(t *testing.T, l *lane, b []byte) {
	t.Helper()
	// The zone may have ended already, by what was written before.
	if _, err := l.w.Write(b); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
}

func waitForEnd(t *testing.T, z *Zone) *EndedError {
	t.Helper()
	select {
	case <-z.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the zone goes on")
	}
	var ended *EndedError
	if !errors.As(z.Err(), &ended) {
		t.Fatalf("ended with %v", z.Err())
	}
	return ended
}

func TestTamperedRequests(t *testing.T) {
	for name, tamper := range map[string]func(t *testing.T, z *Zone, l *lane){
		"replay": func(t *testing.T, z *Zone, l *lane) {
			b := rawRecord(t, l, 1)
			write(t, l, b)
			write(t, l, b)
		},
		"reorder": func(t *testing.T, z *Zone, l *lane) {
			first, second := rawRecord(t, l, 1), rawRecord(t, l, 2)
			write(t, l, second)
			write(t, l, first)
		},
		"left out": func(t *testing.T, z *Zone, l *lane) {
			rawRecord(t, l, 1)
			write(t, l, rawRecord(t, l, 2))
		},
		"from another pipe": func(t *testing.T, z *Zone, l *lane) {
			write(t, l, rawRecord(t, z.lanes[1], 1))
		},
		"a bit changed": func(t *testing.T, z *Zone, l *lane) {
			b := rawRecord(t, l, 1)
			b[len(b)/2] ^= 1
			write(t, l, b)
		},
		"another length": func(t *testing.T, z *Zone, l *lane) {
			b := rawRecord(t, l, 1)
			b[0]--
			write(t, l, b)
		},
		"too long": func(t *testing.T, z *Zone, l *lane) {
			write(t, l, []byte{0xff, 0xff, 0xff, 0xff})
		},
		"too short": func(t *testing.T, z *Zone, l *lane) {
			write(t, l, []byte{overhead, 0, 0, 0})
		},
		"cut": func(t *testing.T, z *Zone, l *lane) {
			b := rawRecord(t, l, 1)
			write(t, l, b[:len(b)-1])
			l.w.(io.Closer).Close()
		},
		"garbage": func(t *testing.T, z *Zone, l *lane) {
			write(t, l, bytes.Repeat([]byte("garbage "), 100))
		},
		"a piece that cannot be": func(t *testing.T, z *Zone, l *lane) {
			b, _ := l.out.seal(append(newRecord(nil), "short"...))
			write(t, l, b)
		},
		"a piece of another kind": func(t *testing.T, z *Zone, l *lane) {
			b, _ := l.out.seal(appendPiece(newRecord(nil), 1, kindAnswer, 1, []byte{1}))
			write(t, l, b)
		},
		"a request without its head": func(t *testing.T, z *Zone, l *lane) {
			b, _ := l.out.seal(appendPiece(newRecord(nil), 1, kindRequest, 1, []byte{1}))
			write(t, l, b)
		},
		"a move to what is no number": func(t *testing.T, z *Zone, l *lane) {
			b, _ := l.out.seal(appendPiece(newRecord(nil), 1, kindMove, 3, []byte{1, 0, 0}))
			write(t, l, b)
		},
		"a part of a move": func(t *testing.T, z *Zone, l *lane) {
			b, _ := l.out.seal(appendPiece(newRecord(nil), 1, kindMove, 5, []byte{1, 0, 0, 0}))
			write(t, l, b)
		},
		"a message that changes its length": func(t *testing.T, z *Zone, l *lane) {
			b := appendPiece(newRecord(nil), 1, kindRequest, 100, make([]byte, 50))
			b, _ = l.out.seal(appendPiece(b, 1, kindRequest, 99, make([]byte, 49)))
			write(t, l, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := start(t, Config{Name: "test", Workers: 2})
			for _, l := range z.lanes { // so that the parent takes answers to what nobody asked
				l.mu.Lock()
				l.lastID = 10
				l.mu.Unlock()
			}
			tamper(t, z, z.lanes[0])
			if ended := waitForEnd(t, z); ended.Reason != ReasonPipe {
				t.Errorf("ended with %v", ended)
			}
			if _, err := do(z, 'e'); !errors.Is(err, ErrEnded) {
				t.Errorf("a call afterwards: %v", err)
			}
		})
	}

	// The control: the same by hand, and nothing wrong with it.
	z := start(t, Config{Name: "test", Workers: 2})
	z.lanes[0].mu.Lock()
	z.lanes[0].lastID = 2
	z.lanes[0].mu.Unlock()
	write(t, z.lanes[0], rawRecord(t, z.lanes[0], 1))
	write(t, z.lanes[0], rawRecord(t, z.lanes[0], 2))
	for range 4 {
		if got, _, err := z.lanes[0].call(context.Background(), []byte("eon"), false); err != nil || string(got) != "on" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// The other direction, with the parent's counter out of step: to it, that is any of the above.
func TestTamperedAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		tamper func(z *Zone)
		want   error
	}{
		"lane, one left out": {func(z *Zone) { z.lanes[0].in.next++ }, errOpen},
		"lane, used up":      {func(z *Zone) { z.lanes[0].in.next = math.MaxUint64 }, errCounter},
		"lane, to the zone":  {func(z *Zone) { z.lanes[0].out.next = math.MaxUint64 }, errCounter},
	} {
		t.Run(name, func(t *testing.T) {
			z := start(t, Config{Name: "test", Workers: 1})
			tt.tamper(z)
			if _, _, err := z.lanes[0].call(context.Background(), []byte("e"), false); !errors.Is(err, ErrEnded) {
				t.Errorf("a call: %v", err)
			}
			if ended := waitForEnd(t, z); ended.Reason != ReasonPipe || !errors.Is(ended, tt.want) {
				t.Errorf("ended with %v", ended)
			}
		})
	}
}

// An answer that comes before its request was written.
func TestEarlyAnswer(t *testing.T) {
	l := newLane(nil, end{}, sequence{}, sequence{})
	c := &call{id: 1, request: []byte("request"), sent: timeHead + 6, done: make(chan struct{}, 1)}
	l.lastID, l.waiting[1] = 1, c
	answer := appendPiece(nil, 1, kindAnswer, 0, nil)
	if err := l.deliver(answer); err != errPiece {
		t.Errorf("before the last byte: %v", err)
	}
	c.sent++
	if err := l.deliver(answer); err != nil || len(c.done) != 1 {
		t.Errorf("afterwards: %v", err)
	}
	if err := l.deliver(appendPiece(nil, 2, kindAnswer, 0, nil)); err != errPiece {
		t.Errorf("to what was never asked: %v", err)
	}
}

// The zone's own counters, with a server in this process whose exit is seen.
func TestServerCounters(t *testing.T) {
	for name, tt := range map[string]struct {
		in, out uint64
		want    int
	}{
		"requests used up": {math.MaxUint64, 0, exitPipe},
		"answers used up":  {0, math.MaxUint64, exitPipe},
		"the last request": {math.MaxUint64 - 1, 0, exitClosed},
		"the last answer":  {0, math.MaxUint64 - 1, exitClosed},
	} {
		t.Run(name, func(t *testing.T) {
			key := make([]byte, 32)
			in, _ := newSequence(key)
			out, _ := newSequence(key)
			in.next, out.next = tt.in, tt.out
			toZone, err := newSequence(key)
			if err != nil {
				t.Fatal(err)
			}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			answers, zoneW, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer answers.Close()
			defer zoneW.Close()
			defer r.Close()
			code := -1
			s := newServer(func(context.Context, []byte) ([]byte, error) { return nil, nil }, 1, func(c int) {
				if code < 0 {
					code = c
				}
			})
			l := s.add(end{r, zoneW}, in, out)
			toZone.next = min(tt.in, math.MaxUint64-1)
			seal := sealer{toZone}
			b, err := seal.seal(appendRequest(newRecord(nil), 1, 0, nil, timeHead))
			if err != nil {
				t.Fatal(err)
			}
			w.Write(b)
			w.Close()
			l.serve(0)
			if code != tt.want {
				t.Errorf("exit with %d, want %d", code, tt.want)
			}
		})
	}
}

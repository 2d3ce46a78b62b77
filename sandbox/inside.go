package sandbox

import (
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// runInside is the life of a zone. The order is that of what needs what: nothing may be held back by a limit or a
// filter that a later step runs into.
func runInside(ends []end, arenaSize int, setup func(Inside) (Handler, error)) {
	layers := hide()
	time.Local = time.UTC        // else read from a file, at the first time that is printed
	time.Sleep(time.Microsecond) // the first timer makes the runtime's poller
	rand.Read(make([]byte, 1))   // the first read looks at what the kernel has
	toZone, toParent, err := exchange(struct {
		io.Reader
		io.Writer
	}{ends[0].r, ends[0].w}, false, len(ends))
	if err != nil {
		exit(exitPipe)
	}
	workers := runtime.GOMAXPROCS(0) - processorToSpare
	s := newServer(nil, workers, exit)
	for i, e := range ends {
		s.add(e, toZone[i], toParent[i])
	}
	s.lanes[workers].running = &s.long

	step := func(call string) { s.lanes[0].writeAlone(0, kindStep, []byte(call)) }
	limit := memoryLeft()
	memory.RaiseLimit()
	step("memfd_secret")
	arena, locked := newArena(max(arenaSize, 1), workers)
	layers = append(layers, locked)
	layers = append(layers, lockDown(len(ends), step)...)
	step("")
	for _, l := range layers {
		if l.Required && !l.Active {
			s.refuse(kindRefused, appendLayers(nil, layers))
		}
	}
	if arena == nil { // where it is not required
		s.refuse(kindSetup, []byte(locked.Note))
	}

	s.handler, err = callSetup(setup, Inside{Arena: arena, Workers: workers, Memory: limit})
	if err != nil {
		text := err.Error()
		s.refuse(kindSetup, []byte(text[:min(len(text), maxErrorText)]))
	}
	s.lanes[0].writeAlone(0, kindReady, appendLayers(nil, layers))
	for _, l := range s.lanes {
		go l.serve(0)
	}
	go s.oversee()
}

// newArena maps an arena of size bytes for each worker, or as many as may be locked.
func newArena(size, workers int) (*memory.Arena, Layer) {
	locked := Layer{Name: "locked memory", Required: requireLayers}
	want := size * workers
	for n := want; ; n = max(size, n-n/8) {
		arena, err := memory.NewArena(n)
		if err == nil {
			locked.Active, locked.Note = true, fmt.Sprintf("%s, %d KiB", arena.Kind(), arena.Size()>>10)
			if n < want {
				locked.Note += fmt.Sprintf(" of %d: the system lets it lock no more", want>>10)
			}
			return arena, locked
		}
		if n == size {
			locked.Note = err.Error()
			return nil, locked
		}
	}
}

// refuse tells the parent why there will be no zone, and ends.
func (s *server) refuse(k kind, text []byte) {
	s.lanes[0].writeAlone(0, k, text)
	s.exit(exitStart)
}

// callSetup keeps the value of a panic, which may hold secrets, as the server does.
func callSetup(setup func(Inside) (Handler, error), in Inside) (h Handler, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("panicked")
		}
	}()
	return setup(in)
}

// exit ends the process at once. os.Exit would run the hooks of a coverage build, which write files.
func exit(code int) { syscall.Exit(code) }

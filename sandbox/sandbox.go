// Package sandbox runs a function in a child process that can do nothing but answer.
//
// A [Handler] turns a request into an answer, bytes to bytes. A package of the program hands it to [Gate] in its
// init(); [Start] then starts the program again as a "zone", a process that stays in that init() for its whole life,
// and [Zone.Call] sends it requests. Before the handler sees the first one, the zone has given up everything it does not
// need for computing: on Linux it ends by the kernel's hand at the first system call that opens, connects, executes,
// signals or maps code ([Rules] has the list of what is left); it cannot be debugged, dumped or read by other processes of
// its user; its secrets lie in a locked arena ([memory.Arena]). What travels is sealed with keys that only the two
// processes know, agreed before anything else.
//
// Which of the layers are active is in [Status]: the required ones, or Start fails; the others as far as the system
// gives them. Builds with the race detector run without the filter and say so; in builds with cgo it lets a few calls
// more through, and Landlock is missing. Systems other than Linux have few of the layers.
//
// The zone's handler cannot open files, look up names, read the clock's zone, start programs or write logs. It has
// memory, threads, time and randomness. A panic of it answers the one request with [ErrPanicked], without the panic's
// value, which may hold secrets. A fault that Go cannot recover from ends the zone: calls fail with errors for which
// errors.Is(err, [ErrEnded]) holds, and the caller starts a new one.
package sandbox

import (
	"context"

	"github.com/stronghold-go/stronghold/sandbox/memory"
)

// MaxPayload is the largest request and the largest answer, in bytes. Both travel in pieces of 32 KiB, between which
// others pass.
const MaxPayload = 64 << 20

// A Handler answers one request. It runs in the zone, several at a time, and must neither change the request nor keep
// it. ctx has the deadline of the caller's context and ends with it. What it returns crosses to the caller, the text
// of an error too: neither may hold a secret in the clear.
type Handler func(ctx context.Context, request []byte) ([]byte, error)

// Inside is what a handler has in the zone.
type Inside struct {
	Arena *memory.Arena

	// Workers is how many requests are usually worked on at once. A request that takes long does not hold up those that
	// were sent after it, so for a while there may be up to four times as many.
	Workers int

	// Memory is how many more bytes the process might take when it started, as far as a limit was set for it or its control
	// group; 0: none was.
	Memory uint64
}

// Gate makes this program able to run as the zone of the given name. It is called from an init(), so that the process
// of the zone runs nothing of the program but what stands before it. In an ordinary process it returns at once. In a
// process that [Start] started as the zone of this name it does not return: it locks the process down, calls setup,
// with an arena of arenaSize bytes for each worker, and answers requests with the handler that setup returns until the
// pipe closes. Where the system lets the process lock less (RLIMIT_MEMLOCK), the arena is as large as it may be, as the
// note of the layer says; one of less than arenaSize bytes is none.
//
// setup runs behind all layers, as the handler does. An error of it is the error of Start.
//
// A process is the zone of a name if it was started with the fixed word "stronghold-zone" as os.Args[0] and the name
// as its only argument, and if its descriptors are pipes where a zone has them. The environment has no say. Gate
// panics when the name was given to another gate before.
func Gate(name string, arenaSize int, setup func(Inside) (Handler, error)) {
	register(name)
	ends, ok := startedAs(name)
	if !ok {
		return
	}
	// Not on this goroutine: during init it is tied to the first thread of the process.
	go runInside(ends, arenaSize, setup)
	select {}
}

// Config says which zone to start.
type Config struct {
	// Name is the name that was given to [Gate].
	Name string

	// Workers is how many requests the zone works on at once. 0 is runtime.GOMAXPROCS(0).
	Workers int

	// Memory bounds how many bytes the handler may use, in all; 0 does not. One that needs more ends the zone: what it is
	// given to work on may be made by somebody who wants the machine to run out of memory. Only Linux holds it.
	Memory uint64
}

// ownMemory is what a zone needs besides, in bytes: the runtime takes memory 64 MiB at a time.
const ownMemory = 256 << 20

// maxWorkers keeps the descriptors of a zone below what every system allows.
const maxWorkers = 256

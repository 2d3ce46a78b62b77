package sandbox

import (
	"os"
	"sync"
)

// argv0 is what a zone has for its own name, in place of the path of the program.
const argv0 = "stronghold-zone"

// gates has the names of the gates of this program. Starting a zone without a gate would run the program's main.
var gates struct {
	sync.Mutex
	names map[string]bool
}

func register(name string) {
	gates.Lock()
	defer gates.Unlock()
	if name == "" || gates.names[name] {
		panic("sandbox: two gates, or none, with the name " + name)
	}
	if gates.names == nil {
		gates.names = make(map[string]bool)
	}
	gates.names[name] = true
}

func hasGate(name string) bool {
	gates.Lock()
	defer gates.Unlock()
	return gates.names[name]
}

// An end is the zone's side of one pipe pair.
type end struct{ r, w *os.File }

// startedAs reports whether this process is the zone of the given name, and the pipes it was started with.
func startedAs(name string) ([]end, bool) {
	if len(os.Args) < 2 || os.Args[0] != argv0 || os.Args[1] != name {
		return nil, false
	}
	return inheritedEnds(os.Args[2:])
}

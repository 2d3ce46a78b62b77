package sandbox

import (
	"fmt"
	"strings"
)

// Status is what stands around a zone.
type Status struct {
	PID    int     `json:"pid"`
	Layers []Layer `json:"layers"`
}

// A Layer is one of the things that keep a zone apart. Their names:
//
//	own process            it shares no memory with the program
//	sealed pipe            both directions, with keys known to the two processes only
//	locked memory          the arena is never swapped out
//	non-dumpable           no core dump; no ptrace, no /proc/PID/mem, also for processes of the same user
//	no new privileges      nothing it could execute would gain any
//	syscall filter         the kernel ends it at any system call that is not in Rules
//	own session            no terminal's signals; those of other processes are ignored, but for SIGKILL and SIGSTOP
//	dies with its parent   by a signal of the kernel, besides by the end of the pipe
//	resource limits        no new descriptors, no file growth, no core
//	Landlock               no file and no TCP, a second time
//	private uid            a user that nothing else runs as; as root only
//	namespaces             its own network, processes, mounts and IPC; as root only
type Layer struct {
	Name     string `json:"name"`
	Active   bool   `json:"active"`
	Required bool   `json:"required"` // on this system and in this build
	Note     string `json:"note,omitempty"`
}

func (l Layer) String() string {
	s := l.Name + ": "
	if l.Active {
		s += "active"
	} else {
		s += "missing"
	}
	if l.Required {
		s += ", required"
	}
	if l.Note != "" {
		s += " (" + l.Note + ")"
	}
	return s
}

// Layer returns the layer of a name and whether there is one.
func (s Status) Layer(name string) (Layer, bool) {
	for _, l := range s.Layers {
		if l.Name == name {
			return l, true
		}
	}
	return Layer{}, false
}

// appendLayers encodes what a zone reports about itself: a line a layer. Notes are texts of ours and of the system.
func appendLayers(b []byte, layers []Layer) []byte {
	flag := func(v bool) string {
		if v {
			return "1"
		}
		return "0"
	}
	clean := strings.NewReplacer("\n", " ", "\t", " ")
	for _, l := range layers {
		b = fmt.Appendf(b, "%s\t%s\t%s\t%s\n", l.Name, flag(l.Active), flag(l.Required), clean.Replace(l.Note))
	}
	return b
}

func parseLayers(b []byte) ([]Layer, error) {
	var layers []Layer
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("sandbox: a layer of %d fields", len(f))
		}
		layers = append(layers, Layer{Name: f[0], Active: f[1] == "1", Required: f[2] == "1", Note: f[3]})
	}
	return layers, nil
}

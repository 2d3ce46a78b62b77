package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// TestAdvice: every layer that may be missing has advice, on every system, that
// says whether something has to be done.
func TestAdvice(t *testing.T) {
	names := []string{"own process", "sealed pipe", "locked memory", "non-dumpable", "no new privileges", "syscall filter",
		"own session", "dies with its parent", "resource limits", "Landlock", "private uid", "namespaces"}
	if len(names) != len(linuxAdvice) {
		t.Errorf("%d layers, advice on %d", len(names), len(linuxAdvice))
	}
	for _, name := range names {
		missing := &protocol.Layer{Name: name, Note: "why"}
		for _, system := range []string{"linux", "darwin", "windows", "freebsd"} {
			a := adviceOn(system, missing)
			want := system != "linux" || name != "private uid" && name != "namespaces"
			if a.hint == "" || a.problem != want {
				t.Errorf("%s on %s: %+v", name, system, a)
			}
			if system != "linux" && !strings.Contains(a.hint, "in a node on Linux") {
				t.Errorf("%s on %s: %s", name, system, a.hint)
			}
		}
		if a := adviceOn("darwin", &protocol.Layer{Name: name, Active: true}); a != (advice{}) {
			t.Errorf("%s is there: %+v", name, a)
		}
	}
	// The README's unit is what the advice says.
	if readme, err := os.ReadFile("../../README.md"); err != nil || !strings.Contains(string(readme), "\n"+serviceFilter+"\n") {
		t.Errorf("README.md does not have %s: %v", serviceFilter, err)
	}
	for note, want := range map[string]string{
		"not in a build with cgo, where the runtime cannot have every thread make a call": "CGO_ENABLED=0",
		"a build with the race detector": "without -race",
		"no such system call":            "seccomp",
	} {
		if a := adviceOn("linux", &protocol.Layer{Name: "syscall filter", Note: note}); !strings.Contains(a.hint, want) || !a.problem {
			t.Errorf("%s: %+v", note, a)
		}
	}
	if a := adviceOn("linux", &protocol.Layer{Name: "a layer of the future"}); a.hint == "" || !a.problem {
		t.Errorf("%+v", a)
	}
	if a := adviceOn("darwin", &protocol.Layer{Name: "Landlock"}); !strings.HasPrefix(a.hint, "on macOS ") {
		t.Error(a.hint)
	}
}

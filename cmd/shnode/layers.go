package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/stronghold-go/stronghold/protocol"
)

// advice is what to do about a layer of the zone that is missing.
type advice struct {
	hint    string
	problem bool // the layer could be had here, or its absence is what a person has to know
}

// serviceFilter is what a zone needs that a service manager may deny: systemd's groups
// have none of the calls by which a process takes rights from itself before version 253.
const serviceFilter = "SystemCallFilter=@system-service seccomp memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self"

// linuxAdvice has a row for every layer that may be missing from a zone that
// runs. The names are those of sandbox.Layer. What a zone does not start
// without has one too: doctor tells of zones that do not start.
var linuxAdvice = map[string]advice{
	"own process":          {"this machine starts no processes for shnode: has the user too many, or is the executable gone?", true},
	"sealed pipe":          {"the zone and the node did not agree on keys: are both the same, unchanged executable?", true},
	"locked memory":        {"the zone's memory can be swapped out: raise the hard limit of locked memory (LimitMEMLOCK=64M of a systemd service, --ulimit memlock= of a container, `ulimit -Hl` of a shell), and let a filter allow mlock", true},
	"non-dumpable":         {"the kernel refuses prctl(PR_SET_DUMPABLE): does a container's own filter forbid it?", true},
	"no new privileges":    {"the kernel refuses prctl(PR_SET_NO_NEW_PRIVS): does a container's own filter forbid it?", true},
	"syscall filter":       {"the kernel refuses seccomp: the filter of a service or container has to allow it (systemd: " + serviceFilter + "), and a kernel be built with CONFIG_SECCOMP_FILTER", true},
	"own session":          {"the kernel refuses setsid", true},
	"dies with its parent": {"the kernel refuses prctl(PR_SET_PDEATHSIG); the zone still ends with its pipe", true},
	"resource limits":      {"the kernel refuses setrlimit", true},
	"Landlock":             {"Landlock takes Linux 5.13 or newer, its name among those in /sys/kernel/security/lsm, and a service or container whose filter allows landlock_create_ruleset, landlock_add_rule and landlock_restrict_self; the syscall filter alone keeps files and the network away", true},
	"private uid":          {onlyRoot, false},
	"namespaces":           {onlyRoot, false},
}

const onlyRoot = "only a node that root starts can give its zone a uid and namespaces of its own; the other layers do without them"

// adviceOn is what to do about a layer that is missing on a system.
func adviceOn(system string, l *protocol.Layer) advice {
	if l.Active {
		return advice{}
	}
	if system != "linux" {
		return advice{fmt.Sprintf("on %s the zone is a process of its own behind a sealed pipe, and little more: nothing keeps code that got into it from files and the network. Keep keys that matter in a node on Linux", systemName(system)), true}
	}
	// The notes are those of sandbox.
	switch {
	case strings.Contains(l.Note, "a build with cgo"):
		return advice{"this shnode was built with C; one without it has this layer too: CGO_ENABLED=0 go build ./cmd/shnode. The syscall filter alone keeps files and the network away", true}
	case strings.Contains(l.Note, "a build with the race detector"):
		return advice{"this shnode was built for tests: build it without -race", true}
	}
	if a, ok := linuxAdvice[l.Name]; ok {
		return a
	}
	return advice{"the kernel refuses it", true}
}

func systemName(goos string) string {
	switch goos {
	case "darwin":
		return "macOS"
	case "windows":
		return "Windows"
	}
	return goos
}

// layersOf are the layers of a zone, with what to do about missing ones, and
// whether none of those is a problem.
func layersOf(z *protocol.Zone) (layers []layerJSON, ok bool) {
	layers, ok = []layerJSON{}, true
	for _, l := range z.GetLayers() {
		a := adviceOn(runtime.GOOS, l)
		layers = append(layers, layerJSON{Name: l.Name, Active: l.Active, Required: l.Required, Note: l.Note, Hint: a.hint})
		ok = ok && !a.problem
	}
	return layers, ok
}

// warnUnfiltered tells a person who is about to trust a zone with secrets that it
// has no filter, on a system where a zone of another build would. Of other systems
// doctor tells.
func (a *app) warnUnfiltered(z *protocol.Zone) {
	for _, l := range z.GetLayers() {
		if l.Name == "syscall filter" && !l.Active && runtime.GOOS == "linux" {
			a.warnf("the zone runs without its syscall filter: %s", printable(dash(l.Note)))
			a.hint(adviceOn(runtime.GOOS, l).hint)
		}
	}
}

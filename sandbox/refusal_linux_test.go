//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What a kernel, a container or a system's administrator may refuse to a zone, and what comes of it. The refusals are
// those of a filter that the parent of the zone is put under, in a process of its own.
var refusals = map[string]struct {
	calls  []uint32
	prctl  uint32 // the one option of prctl that is refused
	layer  string // the layer that is missing
	starts bool   // nevertheless
	note   string // of the layer, or in the error
	kill   bool   // who asks is ended, not told
}{
	"no filters":         {calls: []uint32{unix.SYS_SECCOMP}, layer: "syscall filter", note: "seccomp"},
	"dumpable":           {prctl: unix.PR_SET_DUMPABLE, layer: "non-dumpable", note: "not permitted"},
	"no locked memory":   {calls: []uint32{447, unix.SYS_MLOCK}, layer: "locked memory", note: "mlock"},
	"no secret memory":   {calls: []uint32{447}, layer: "", starts: true, note: "locked pages"},
	"no Landlock":        {calls: []uint32{unix.SYS_LANDLOCK_CREATE_RULESET}, layer: "Landlock", starts: true, note: "landlock_create_ruleset"},
	"no fewer rights":    {prctl: unix.PR_SET_NO_NEW_PRIVS, note: "PR_SET_NO_NEW_PRIVS"},
	"nothing is refused": {starts: true},

	// A filter that kills says nothing: the zone has said what it was about to do.
	"death for locked memory": {calls: []uint32{447}, kill: true, note: "not the zone's own ended it at memfd_secret"},
	"death for Landlock":      {calls: []uint32{unix.SYS_LANDLOCK_CREATE_RULESET}, kill: true, note: "not the zone's own ended it at landlock_create_ruleset"},
	"death for filters":       {calls: []uint32{unix.SYS_SECCOMP}, kill: true, note: "not the zone's own ended it at seccomp"},
	"death for a handshake":   {calls: []uint32{unix.SYS_SETRLIMIT, unix.SYS_PRLIMIT64}, kill: true, note: "not the zone's own ended it at its start"},
}

// beRefused is what TestRefusedLayers runs in a process of its own: it says what came of Start.
func beRefused(what string) {
	runtime.LockOSThread()
	r := refusals[what]
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: offNumber, Size: 4}}
	refuse := bpf.RetConstant{Val: retErrno | uint32(unix.EPERM)}
	if r.kill {
		refuse.Val = retKillProcess
	}
	for _, n := range r.calls {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: n, SkipTrue: 1}, refuse)
	}
	if r.prctl != 0 {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_PRCTL, SkipTrue: 3},
			bpf.LoadAbsolute{Off: offArgs, Size: 4}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.prctl, SkipTrue: 1}, refuse)
	}
	raw, err := bpf.Assemble(append(prog, bpf.RetConstant{Val: retAllow}))
	if err == nil {
		err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if err == nil && what != "nothing is refused" {
		err = loadFilter(raw)
	}
	if err != nil {
		fmt.Println("the filter:", err)
		os.Exit(1)
	}
	z, err := Start(context.Background(), Config{Name: "test", Workers: 1})
	var missing *LayerError
	switch {
	case errors.As(err, &missing):
		fmt.Printf("missing %q: %v\n", missing.Layer.Name, err)
	case err != nil:
		fmt.Println("not started:", err)
	default:
		for _, l := range z.Status().Layers {
			fmt.Printf("%q %v %s\n", l.Name, l.Active, l.Note)
		}
		got, err := do(z, 'e', []byte("on"))
		fmt.Printf("answers %s %v\n", got, err)
		z.Close()
	}
	os.Exit(0)
}

// A zone that cannot have a layer which is required does not start, and the error says which; one that is extra is
// shown as missing.
func TestRefusedLayers(t *testing.T) {
	needFilter(t)
	for what, tt := range refusals {
		t.Run(what, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			p, err := os.StartProcess(program, []string{"sandbox.test"}, &os.ProcAttr{Env: []string{"SANDBOX_TEST_REFUSED=" + what}, Files: []*os.File{null, w, w}})
			w.Close()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			out.ReadFrom(r)
			if state, err := p.Wait(); err != nil || !state.Success() {
				t.Fatalf("%v, %v: %s", state, err, &out)
			}
			said := out.String()
			note := tt.note
			if iscgo && what == "death for Landlock" { // such a build does not ask for it
				tt.starts, note = true, ""
			}
			if iscgo && tt.layer == "Landlock" { // refused or not
				note = "not in a build with cgo"
			}
			if !strings.Contains(said, note) {
				t.Errorf("not a word of %q: %s", note, said)
			}
			switch {
			case tt.starts && !strings.Contains(said, "answers on <nil>"):
				t.Errorf("it does not start: %s", said)
			case tt.starts && tt.layer != "" && !strings.Contains(said, fmt.Sprintf("%q false", tt.layer)):
				t.Errorf("it does not show what is missing: %s", said)
			case !tt.starts && tt.layer != "" && !strings.HasPrefix(said, fmt.Sprintf("missing %q", tt.layer)):
				t.Errorf("it starts, or says another thing: %s", said)
			case !tt.starts && tt.layer == "" && !strings.HasPrefix(said, "not started:"):
				t.Errorf("it starts, or says another thing: %s", said)
			}
		})
	}
}

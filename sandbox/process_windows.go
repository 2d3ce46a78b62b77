package sandbox

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// filterSignal is what no process on Windows ends with.
const filterSignal = syscall.Signal(-1)

// environment is all that a zone has, besides what Windows itself insists on; process_unix.go tells what for.
func environment(workers int, memory uint64) []string {
	env := []string{
		"GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1,updatemaxprocs=0",
		"GOTRACEBACK=none",
		"GOMAXPROCS=" + strconv.Itoa(workers+processorToSpare),
		"SYSTEMROOT=" + os.Getenv("SYSTEMROOT"),
	}
	if memory != 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatUint(memory+ownMemory, 10))
	}
	return env
}

// startChild starts this program as a zone. The handles of its pipes are the only ones that it inherits besides the
// null device, and their numbers are its second argument.
func startChild(name string, workers int, memory uint64) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	defer null.Close()
	parent, zone, err := pipePairs(workers + 1) // one is for requests that take long
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	defer closeEnds(zone)
	sys := &syscall.SysProcAttr{HideWindow: true}
	var numbers []string
	for _, e := range zone {
		for _, f := range []*os.File{e.r, e.w} {
			h := syscall.Handle(f.Fd())
			if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
				closeEnds(parent)
				return nil, fmt.Errorf("sandbox: SetHandleInformation: %w", err)
			}
			sys.AdditionalInheritedHandles = append(sys.AdditionalInheritedHandles, h)
			numbers = append(numbers, strconv.FormatUint(uint64(h), 10))
		}
	}
	process, err := os.StartProcess(program, []string{argv0, name, strings.Join(numbers, ",")}, &os.ProcAttr{
		Env:   environment(workers, memory),
		Files: []*os.File{null, null, null},
		Sys:   sys,
	})
	if err != nil {
		closeEnds(parent)
		return nil, fmt.Errorf("sandbox: starting the zone: %w", err)
	}
	// Before it is told anything.
	confined := confine(process)
	return &child{process: process, ends: parent, layers: []Layer{
		{Name: "own process", Active: true, Required: true},
		{Name: "sealed pipe", Active: true, Required: true, Note: "X25519, ChaCha20-Poly1305"},
		{Name: "own session", Note: "not on this system"},
		attempt("dies with its parent", "a job object", confined),
		attempt("resource limits", "a job object: no new processes", confined),
		{Name: "private uid", Note: "not on this system"},
		{Name: "namespaces", Note: "not on this system"},
	}}, nil
}

// inheritedEnds returns the zone's side of its pipes, if the arguments name pipes of this process.
func inheritedEnds(args []string) ([]end, bool) {
	if len(args) != 1 {
		return nil, false
	}
	var files []*os.File
	for number := range strings.SplitSeq(args[0], ",") {
		h, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, false
		}
		if kind, err := windows.GetFileType(windows.Handle(h)); err != nil || kind != windows.FILE_TYPE_PIPE {
			return nil, false
		}
		files = append(files, os.NewFile(uintptr(h), "pipe"))
	}
	if len(files)%2 != 0 || len(files) > 2*(maxWorkers+1) {
		return nil, false
	}
	var ends []end
	for ; len(files) > 0; files = files[2:] {
		ends = append(ends, end{files[0], files[1]})
	}
	return ends, true
}

func raw(e end) (io.Reader, io.Writer) { return e.r, e.w }

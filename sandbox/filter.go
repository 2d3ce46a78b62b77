package sandbox

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// descriptors are those that a zone may read and write, for the rules that speak of them.
type descriptors struct {
	firstRead, firstWrite uint32 // of a run of n each
	n                     uint32
	event                 uint32 // the eventfd of the runtime's poller
}

// An architecture as seccomp sees it.
type architecture struct {
	audit  uint32 // AUDIT_ARCH_*
	number func(Rule) uint32
}

var architectures = map[string]architecture{
	"amd64": {0xc000003e, func(r Rule) uint32 { return r.AMD64 }},
	"arm64": {0xc00000b7, func(r Rule) uint32 { return r.ARM64 }},
}

// Where things are in struct seccomp_data (linux/seccomp.h), on little-endian machines.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// What a filter returns (linux/seccomp.h).
const (
	retKillProcess = 0x80000000
	retAllow       = 0x7fff0000
	retErrno       = 0x00050000 // in the lower half, which
)

// compile turns rules into the program that the kernel runs before every system call of a zone: is the architecture
// ours, which number is it, do the arguments pass. Numbers of the x32 ABI have bit 30 set and no rule has.
func compile(rules []Rule, arch architecture, fds descriptors) ([]bpf.RawInstruction, error) {
	var kill bpf.Instruction = bpf.RetConstant{Val: retKillProcess}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch.audit, SkipTrue: 1},
		kill,
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
	}
	for _, r := range rules {
		var body []bpf.Instruction
		for _, a := range r.Args {
			body = append(body, checkArg(a, fds)...)
		}
		verdict := uint32(retAllow)
		if r.Errno != 0 {
			verdict = retErrno | r.Errno
		}
		body = append(body, bpf.RetConstant{Val: verdict})
		if len(body) > 255 {
			return nil, fmt.Errorf("sandbox: internal error: the rule for %s has %d instructions", r.Name, len(body))
		}
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch.number(r), SkipFalse: uint8(len(body))})
		prog = append(prog, body...)
	}
	return bpf.Assemble(append(prog, kill))
}

// checkArg goes on behind its last instruction if the argument passes, and kills if not.
func checkArg(a Arg, fds descriptors) []bpf.Instruction {
	low := bpf.LoadAbsolute{Off: uint32(offArgs + 8*a.Index), Size: 4}
	high := bpf.LoadAbsolute{Off: uint32(offArgs + 8*a.Index + 4), Size: 4}
	kill := bpf.RetConstant{Val: retKillProcess}
	oneOf := func(values ...uint32) []bpf.Instruction {
		list := []bpf.Instruction{low}
		for i, v := range values {
			list = append(list, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(values) - i)})
		}
		return append(list, kill)
	}
	between := func(first, n uint32, or ...uint32) []bpf.Instruction {
		// Of the jumps that lead behind the kill, each skips what follows it.
		rest := uint8(len(or))
		list := []bpf.Instruction{
			low,
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: first, SkipTrue: 1},
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: first + n, SkipTrue: rest + 1},
		}
		for i, v := range or {
			list = append(list, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(or) - i)})
		}
		return append(list, kill)
	}
	switch a.Check {
	case OneOf:
		values := make([]uint32, len(a.Values))
		for i, v := range a.Values {
			values[i] = uint32(v)
		}
		return oneOf(values...)
	case Within:
		return []bpf.Instruction{
			low,
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: ^uint32(a.Values[0]), SkipTrue: 2},
			high,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
			kill,
		}
	case Covers:
		return []bpf.Instruction{
			low,
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: uint32(a.Values[0])},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(a.Values[0]), SkipTrue: 1},
			kill,
		}
	case ReadEnd:
		return between(fds.firstRead, fds.n, fds.event)
	case WriteEnd:
		return between(fds.firstWrite, fds.n, fds.event, 2)
	}
	panic("sandbox: internal error: a check without instructions")
}

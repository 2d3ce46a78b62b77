package memory

import "golang.org/x/sys/cpu"

// Read by the assembly, which may only use instructions that the processor has.
var (
	hasAVX    = cpu.X86.HasAVX
	hasAVX512 = cpu.X86.HasAVX512F
)

package memory

import "golang.org/x/sys/cpu"

// Read by the assembly, which may only use instructions that the processor has.
//
//lint:ignore U1000 see above
var (
	hasAVX    = cpu.X86.HasAVX
	hasAVX512 = cpu.X86.HasAVX512F
)

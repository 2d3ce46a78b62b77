package memory

import "golang.org/x/sys/cpu"

//lint:file-ignore U1000 these are read by the assembly

// Which instructions the processor has.
var (
	hasAVX    = cpu.X86.HasAVX
	hasAVX512 = cpu.X86.HasAVX512F
)

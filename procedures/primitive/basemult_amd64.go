package primitive

import "golang.org/x/sys/cpu"

// selectAVX2 is selectGeneric with vectors. It needs AVX2.
//
//go:noescape
func selectAVX2(table *[multiples][nielsWords]uint64, out *[nielsWords]uint64, m uint64)

func selectWords(table *[multiples][nielsWords]uint64, out *[nielsWords]uint64, m uint64) {
	if cpu.X86.HasAVX2 {
		selectAVX2(table, out, m)
	} else {
		selectGeneric(table, out, m)
	}
}

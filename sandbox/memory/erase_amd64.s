#include "textflag.h"

// func clearRegisters()
//
// SP, BP (the frame pointer) and R14 (g) are the caller's. X15 is zero by Go's own convention.
TEXT ·clearRegisters(SB), NOSPLIT|NOFRAME, $0-0
	CMPB ·hasAVX512(SB), $0
	JEQ  avx
	VPXORQ Z16, Z16, Z16
	VPXORQ Z17, Z17, Z17
	VPXORQ Z18, Z18, Z18
	VPXORQ Z19, Z19, Z19
	VPXORQ Z20, Z20, Z20
	VPXORQ Z21, Z21, Z21
	VPXORQ Z22, Z22, Z22
	VPXORQ Z23, Z23, Z23
	VPXORQ Z24, Z24, Z24
	VPXORQ Z25, Z25, Z25
	VPXORQ Z26, Z26, Z26
	VPXORQ Z27, Z27, Z27
	VPXORQ Z28, Z28, Z28
	VPXORQ Z29, Z29, Z29
	VPXORQ Z30, Z30, Z30
	VPXORQ Z31, Z31, Z31

avx:
	CMPB ·hasAVX(SB), $0
	JEQ  sse
	VZEROALL  // the upper halves and those of Z0 to Z15 too
	JMP  general

sse:
	XORPS X0, X0
	XORPS X1, X1
	XORPS X2, X2
	XORPS X3, X3
	XORPS X4, X4
	XORPS X5, X5
	XORPS X6, X6
	XORPS X7, X7
	XORPS X8, X8
	XORPS X9, X9
	XORPS X10, X10
	XORPS X11, X11
	XORPS X12, X12
	XORPS X13, X13
	XORPS X14, X14

general:
	XORL AX, AX
	XORL BX, BX
	XORL CX, CX
	XORL DX, DX
	XORL SI, SI
	XORL DI, DI
	XORL R8, R8
	XORL R9, R9
	XORL R10, R10
	XORL R11, R11
	XORL R12, R12
	XORL R13, R13
	XORL R15, R15
	RET

// func growStack()
//
// Only the check that Go puts before a frame of this size, which has the stack grown; no byte is touched.
TEXT ·growStack(SB), 0, $36864-0
	RET

// func overwriteStack()
//
// 32 KiB: a signature, a derivation or an AEAD uses less than half of it.
TEXT ·overwriteStack(SB), 0, $32768-0
	MOVQ SP, DI
	MOVL $4096, CX
	XORL AX, AX
	CLD
	REP; STOSQ
	RET

#include "textflag.h"

// func selectAVX2(table *[16][16]uint64, out *[16]uint64, m uint64)
//
// Every entry is read, and kept under a mask that is all ones for entry m only.
TEXT ·selectAVX2(SB), NOSPLIT, $0-24
	MOVQ         table+0(FP), SI
	MOVQ         out+8(FP), DI
	VPBROADCASTQ m+16(FP), Y0
	MOVQ         $1, AX
	VMOVQ        AX, X1
	VPBROADCASTQ X1, Y1          // 1
	VMOVDQA      Y1, Y2          // the number of the entry
	VPXOR        Y8, Y8, Y8
	VPXOR        Y9, Y9, Y9
	VPXOR        Y10, Y10, Y10
	VPXOR        Y11, Y11, Y11
	MOVQ         $16, CX

entry:
	VPCMPEQQ Y0, Y2, Y3
	VPADDQ   Y1, Y2, Y2
	VPAND    (SI), Y3, Y4
	VPAND    32(SI), Y3, Y5
	VPAND    64(SI), Y3, Y6
	VPAND    96(SI), Y3, Y7
	VPOR     Y4, Y8, Y8
	VPOR     Y5, Y9, Y9
	VPOR     Y6, Y10, Y10
	VPOR     Y7, Y11, Y11
	ADDQ     $128, SI
	DECQ     CX
	JNZ      entry

	VMOVDQU Y8, (DI)
	VMOVDQU Y9, 32(DI)
	VMOVDQU Y10, 64(DI)
	VMOVDQU Y11, 96(DI)
	VZEROUPPER
	RET

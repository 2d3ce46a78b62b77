// Package primitive has the algorithms that compute with stored secrets, written
// so that nothing of a secret stays behind in the heap.
//
// # The model
//
// A secret lies in guarded memory outside of the Go heap. The caller hands in
// slices and array pointers into that memory, for inputs and for outputs, and the
// functions here read and fill them. Everything in between lives on the stack of
// the calling goroutine: hash states, scalars, ladder registers, the expanded cipher
// state. Nothing is allocated that depends on a secret, which the tests hold with
// testing.AllocsPerRun. The exceptions are the functions that use the standard
// library's AES ([AESGCMSeal], [AESGCMOpen], [AESKeyWrap], [AESKeyUnwrap]): it can
// keep its key schedule only in the heap, so they overwrite those objects before
// they return.
//
// The stack is not wiped here, because no function can wipe its own frames, let
// alone those of the library functions it called. So a caller wraps a whole
// operation into an eraser which first grows the stack, so that it need not move
// while secrets lie on it, and afterwards overwrites what was used. A scratch area
// in guarded memory instead would not spare that: digits of scalars, hash blocks
// and spilled registers are on the stack in any case. No function here uses more
// than 16 KiB of stack below its caller's frame, which a test measures.
//
// Functions take fixed-size values as array pointers; a slice s of the right length
// becomes one by the conversion (*[32]byte)(s), without a copy. Wrong lengths of
// outputs are mistakes of the program and panic. What can be wrong with data that
// came from outside is an error, and no error echoes its input.
//
// # Constant time
//
// Nothing here branches on a secret or uses one as an index, with two exceptions: the
// normalisation of a mnemonic's text, and AES on a machine without
// instructions for it.
//
// # Giving way
//
// Where it runs nobody is interrupted before 10 ms: so what takes long lets others that
// wait have the processor, after about 700 µs each time. Not more often: as long as a
// processor is idle, the Go runtime wakes it for each time, and moves there what gives way,
// which takes as long as 60 rounds of PBKDF2.
package primitive

// After how much work others are let through.
const (
	yieldRounds = 1024      // of PBKDF2
	yieldBytes  = 384 << 10 // of a message that is hashed
	yieldRunes  = 8192      // of a text that is normalised
)

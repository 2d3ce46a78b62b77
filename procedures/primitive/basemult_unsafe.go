package primitive

import (
	"unsafe"

	"filippo.io/edwards25519/field"
)

// A field.Element is five words of 51 bits, the least first. The library does not say so, so a test does.
const (
	elementWords = 5
	nielsWords   = 3*elementWords + 1
)

// selectFrom sets n to digit times the first point of table, in constant time.
func (n *niels) selectFrom(table *[multiples]niels, digit int8) {
	out := (*[nielsWords]uint64)(unsafe.Pointer(n))
	negative := uint64(int64(digit) >> 63) // all ones, or none
	m := (uint64(int64(digit)) ^ negative) - negative
	selectWords((*[multiples][nielsWords]uint64)(unsafe.Pointer(table)), out, m)
	zero := uint64(int64(m-1)>>63) & 1 // 0·B is y+x = y−x = 1, xy = 0
	out[0] |= zero
	out[elementWords] |= zero

	// −P has x with the other sign. 2p−t, word by word, is −t and stays below 2⁵².
	for w := range elementWords {
		plus, minus, t2d := out[w], out[elementWords+w], out[2*elementWords+w]
		swap := (plus ^ minus) & negative
		out[w], out[elementWords+w] = plus^swap, minus^swap
		out[2*elementWords+w] = t2d ^ (t2d^(twoP[w]-t2d))&negative
	}
}

// selectGeneric sets out to entry m of table, counted from 1, or to zeros, in
// constant time.
func selectGeneric(table *[multiples][nielsWords]uint64, out *[nielsWords]uint64, m uint64) {
	*out = [nielsWords]uint64{}
	for half := uint64(0); half < multiples; half += 8 {
		is := func(i uint64) uint64 { return uint64(int64((m^(half+i))-1) >> 63) } // all ones if m = half+i
		m1, m2, m3, m4, m5, m6, m7, m8 := is(1), is(2), is(3), is(4), is(5), is(6), is(7), is(8)
		t := (*[8][nielsWords]uint64)(table[half:])
		for w := range nielsWords {
			out[w] |= t[0][w]&m1 | t[1][w]&m2 | t[2][w]&m3 | t[3][w]&m4 | t[4][w]&m5 | t[5][w]&m6 | t[6][w]&m7 | t[7][w]&m8
		}
	}
}

// Words of 2p, where p = 2²⁵⁵−19: the least, and the others.
const (
	twoP0 = 1<<52 - 38
	twoPn = 1<<52 - 2
)

var twoP = [elementWords]uint64{twoP0, twoPn, twoPn, twoPn, twoPn}

// plus and minus leave out to carry from word to word, which takes as long as a
// sixth of all. What they return is for Multiply only: it returns words below
// 2⁵¹+2¹⁵, so that those of a sum, also with a sum, are below 2⁵³ and those of a
// difference below 2⁵⁴, and these it takes without overflow.
func plus(out, a, b *field.Element) {
	o, x, y := words(out), words(a), words(b)
	o[0] = x[0] + y[0]
	o[1] = x[1] + y[1]
	o[2] = x[2] + y[2]
	o[3] = x[3] + y[3]
	o[4] = x[4] + y[4]
}

// minus wants words of b below those of 2p.
func minus(out, a, b *field.Element) {
	o, x, y := words(out), words(a), words(b)
	o[0] = x[0] + twoP0 - y[0]
	o[1] = x[1] + twoPn - y[1]
	o[2] = x[2] + twoPn - y[2]
	o[3] = x[3] + twoPn - y[3]
	o[4] = x[4] + twoPn - y[4]
}

func words(e *field.Element) *[elementWords]uint64 {
	return (*[elementWords]uint64)(unsafe.Pointer(e))
}

package primitive

import "unsafe"

// A field.Element is five words of 51 bits, the least first. The library does not say so, so a test does.
const (
	elementWords = 5
	nielsWords   = 3 * elementWords
)

// selectFrom sets n to digit times the first point of table, in constant time.
func (n *niels) selectFrom(table *[multiples]niels, digit int8) {
	t := (*[multiples][nielsWords]uint64)(unsafe.Pointer(table))
	out := (*[nielsWords]uint64)(unsafe.Pointer(n))
	negative := uint64(int64(digit) >> 63) // all ones, or none
	m := (uint64(int64(digit)) ^ negative) - negative
	is := func(i uint64) uint64 { return uint64(int64((m^i)-1) >> 63) } // all ones if m = i
	m1, m2, m3, m4, m5, m6, m7, m8 := is(1), is(2), is(3), is(4), is(5), is(6), is(7), is(8)
	for w := range nielsWords {
		out[w] = t[0][w]&m1 | t[1][w]&m2 | t[2][w]&m3 | t[3][w]&m4 | t[4][w]&m5 | t[5][w]&m6 | t[6][w]&m7 | t[7][w]&m8
	}
	zero := is(0) & 1 // 0·B is y+x = y−x = 1, xy = 0
	out[0] |= zero
	out[elementWords] |= zero

	// −P has x with the other sign. 2p−t, word by word, is −t and stays below 2⁵².
	twoP := [elementWords]uint64{1<<52 - 38, 1<<52 - 2, 1<<52 - 2, 1<<52 - 2, 1<<52 - 2}
	for w := range elementWords {
		plus, minus, t2d := out[w], out[elementWords+w], out[2*elementWords+w]
		swap := (plus ^ minus) & negative
		out[w], out[elementWords+w] = plus^swap, minus^swap
		out[2*elementWords+w] = t2d ^ (t2d^(twoP[w]-t2d))&negative
	}
}

package primitive

import (
	"encoding/binary"
	"sync"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// A multiple of Ed25519's base point B is made as its authors describe (Bernstein, Duif, Lange, Schwabe and Yang,
// "High-speed high-security signatures", section 4), with a larger table: the scalar is written with 51 digits from
// −16 to 16, and for each a multiple of a power of 32 is added, out of the table. All multiples of a power are read for
// each digit, so that neither time nor the processor's cache tells which one it was.

// A niels is an affine point as it is added: y+x, y−x and 2dxy.
type niels struct {
	yPlusX, yMinusX, t2d field.Element
	_                    uint64 // so that entries of the table do not cross lines of the cache
}

const (
	digitBits = 5
	multiples = 1 << (digitBits - 1) // of each power; the negative ones are made of them
	powers    = 26                   // those of 1024: the odd digits are multiplied by 32 when all are added
)

// baseTable has 1·1024ⁱ·B to 16·1024ⁱ·B at i. It is 52 KB, and made once.
var baseTable = sync.OnceValue(func() *[powers][multiples]niels {
	// d is −121665/121666 (RFC 8032, section 5.1).
	var one, d field.Element
	one.One()
	d.Mult32(&one, 121666)
	d.Invert(&d)
	d.Mult32(&d, 121665)
	d.Negate(&d)
	d.Add(&d, &d)

	t := new([powers][multiples]niels)
	power := edwards25519.NewGeneratorPoint()
	for i := range t {
		p := new(edwards25519.Point).Set(power)
		for j := range t[i] {
			t[i][j].set(p, &d)
			p.Add(p, power)
		}
		for range 2 * digitBits {
			power.Double(power)
		}
	}
	return t
})

// set sets n to p. d2 is 2d.
func (n *niels) set(p *edwards25519.Point, d2 *field.Element) {
	x, y, z, _ := p.ExtendedCoordinates()
	z.Invert(z)
	x.Multiply(x, z)
	y.Multiply(y, z)
	n.yPlusX.Add(y, x)
	n.yMinusX.Subtract(y, x)
	n.t2d.Multiply(x, y)
	n.t2d.Multiply(&n.t2d, d2)
	for _, e := range []*field.Element{&n.yPlusX, &n.yMinusX, &n.t2d} {
		e.SetBytes(e.Bytes()) // reduced, as selectFrom needs it
	}
}

// An extended is a point in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
type extended struct{ x, y, z, t field.Element }

// setBaseMult sets p to s·B, in constant time.
func (p *extended) setBaseMult(s *edwards25519.Scalar) {
	table := baseTable()
	digits := signedDigits(s)
	p.x.Zero()
	p.y.One()
	p.z.One()
	p.t.Zero()
	var q niels
	for i := 1; i < len(digits); i += 2 {
		q.selectFrom(&table[i/2], digits[i])
		p.add(&q)
	}
	for range digitBits {
		p.double()
	}
	for i := 0; i < len(digits); i += 2 {
		q.selectFrom(&table[i/2], digits[i])
		p.add(&q)
	}
}

// signedDigits returns the digits of s, least first: s = Σ dᵢ·32ⁱ, −16 ≤ dᵢ ≤ 16. s is below 2²⁵³, so that the last
// one carries nothing.
func signedDigits(s *edwards25519.Scalar) (d [2*powers - 1]int8) {
	var words [5]uint64
	b := s.Bytes()
	for i := range 4 {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	carry := int8(0)
	for i := range d {
		at := digitBits * i
		bits := words[at/64]>>(at%64) | words[at/64+1]<<1<<(63-at%64)
		digit := int8(bits&(1<<digitBits-1)) + carry
		carry = (digit + multiples) >> digitBits
		d[i] = digit - carry<<digitBits
	}
	return d
}

// add adds q (Hisil, Wong, Carter and Dawson, "Twisted Edwards curves revisited", section 3.1, for Z₂ = 1).
func (p *extended) add(q *niels) {
	var a, b, c, d, e, f, g, h field.Element
	minus(&a, &p.y, &p.x)
	a.Multiply(&a, &q.yMinusX)
	plus(&b, &p.y, &p.x)
	b.Multiply(&b, &q.yPlusX)
	c.Multiply(&p.t, &q.t2d)
	plus(&d, &p.z, &p.z)
	minus(&e, &b, &a)
	minus(&f, &d, &c)
	plus(&g, &d, &c)
	plus(&h, &b, &a)
	p.x.Multiply(&e, &f)
	p.y.Multiply(&g, &h)
	p.t.Multiply(&e, &h)
	p.z.Multiply(&f, &g)
}

// double doubles p (the same, section 3.3).
func (p *extended) double() {
	var a, b, c, e, f, g, h field.Element
	a.Square(&p.x)
	b.Square(&p.y)
	c.Square(&p.z)
	c.Add(&c, &c)
	h.Add(&a, &b)
	e.Add(&p.x, &p.y)
	e.Square(&e)
	e.Subtract(&h, &e)
	g.Subtract(&a, &b)
	f.Add(&c, &g)
	p.x.Multiply(&e, &f)
	p.y.Multiply(&g, &h)
	p.t.Multiply(&e, &h)
	p.z.Multiply(&f, &g)
}

// encode writes p to out as RFC 8032, section 5.1.2, has it.
func (p *extended) encode(out *[32]byte) {
	var x, y, z field.Element
	z.Invert(&p.z)
	x.Multiply(&p.x, &z)
	y.Multiply(&p.y, &z)
	copy(out[:], y.Bytes())
	out[31] |= byte(x.IsNegative() << 7)
}

// encodeMontgomery writes the u coordinate of p to out: (1+y)/(1−y) (RFC 7748, section 4.1).
func (p *extended) encodeMontgomery(out *[32]byte) {
	var n, d field.Element
	n.Add(&p.z, &p.y)
	d.Subtract(&p.z, &p.y)
	d.Invert(&d)
	n.Multiply(&n, &d)
	copy(out[:], n.Bytes())
}

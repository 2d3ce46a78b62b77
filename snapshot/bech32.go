package snapshot

import "strings"

// encodeIdentity spells the seed of a hybrid identity as age does: Bech32 (BIP 173),
// without its limit of length, in upper case.
func encodeIdentity(seed []byte) string {
	const prefix, alphabet = "age-secret-key-pq-", "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	var values []byte // of 5 bits
	var bits, n uint
	for _, b := range seed {
		bits, n = bits<<8|uint(b), n+8
		for n >= 5 {
			n -= 5
			values = append(values, byte(bits>>n)&31)
		}
	}
	if n > 0 {
		values = append(values, byte(bits<<(5-n))&31)
	}
	check := uint32(1)
	step := func(v byte) {
		top := check >> 25
		check = check&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				check ^= g
			}
		}
	}
	for _, c := range []byte(prefix) {
		step(c >> 5)
	}
	step(0)
	for _, c := range []byte(prefix) {
		step(c & 31)
	}
	for _, v := range values {
		step(v)
	}
	for range 6 {
		step(0)
	}
	check ^= 1
	for i := range 6 {
		values = append(values, byte(check>>(5*(5-i)))&31)
	}
	var out strings.Builder
	out.WriteString(prefix + "1")
	for _, v := range values {
		out.WriteByte(alphabet[v])
	}
	return strings.ToUpper(out.String())
}

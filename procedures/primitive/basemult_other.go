//go:build !amd64

package primitive

func selectWords(table *[multiples][nielsWords]uint64, out *[nielsWords]uint64, m uint64) {
	selectGeneric(table, out, m)
}

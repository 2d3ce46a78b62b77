//go:build !race

package sandbox

const unfiltered = ""

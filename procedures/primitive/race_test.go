//go:build race

package primitive

// raceEnabled is true under the race detector, which makes the compiler inline less
// and so allocate where the release does not.
const raceEnabled = true

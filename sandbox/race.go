//go:build race

package sandbox

// unfiltered says why a zone of this build runs without the filter; empty when it does not. Builds with the race
// detector are for tests, and its library makes calls of its own.
const unfiltered = "a build with the race detector"

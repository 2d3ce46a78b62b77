//go:build race

package snapshot

// raceDetector makes everything ten times as slow.
const raceDetector = true

//go:build race

package engine

// raceDetector makes everything ten times as slow.
const raceDetector = true

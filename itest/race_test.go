//go:build race

package itest

// raceDetector makes everything ten times as slow, and a password hash most of all.
const raceDetector = true

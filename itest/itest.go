// Package itest holds the tests of what only the whole can show: that the
// packages import each other as designed, that every way to a Stronghold answers
// alike, that the built binary ends well, and how fast all of it is together.
package itest

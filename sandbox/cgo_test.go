//go:build cgo

package sandbox

import _ "runtime/cgo" // so that the zones of these tests are those of a program with C in it

const cgoBuild = true

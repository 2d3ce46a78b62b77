//go:build !linux && !darwin && !windows

package sandbox

import (
	"os/signal"
	"runtime"
)

// requireLayers: here a zone makes do with what there is, and says what is missing.
const requireLayers = false

// hide ignores the signals that can be.
func hide() []Layer {
	signal.Ignore()
	return []Layer{{Name: "non-dumpable", Note: missing}}
}

// lockDown has nothing to give up.
func lockDown(int, func(string)) []Layer {
	return []Layer{
		{Name: "resource limits", Note: missing},
		{Name: "Landlock", Note: missing},
		{Name: "no new privileges", Note: missing},
		{Name: "syscall filter", Note: missing},
	}
}

const missing = "not on " + runtime.GOOS

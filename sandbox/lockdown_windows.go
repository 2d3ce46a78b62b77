package sandbox

import (
	"os/signal"

	"golang.org/x/sys/windows"
)

// requireLayers: here a zone makes do with what there is, and says what is missing.
const requireLayers = false

// ownerMay is what is left to processes of the same user: to end the zone, to wait for that, and to ask for its name.
// Without the entry for the owner's rights (OW) the owner could always give himself the others back. Administrators
// have a privilege that goes before any list.
const ownerMay = "D:P(A;;0x101001;;;OW)(A;;0x101001;;;BA)(A;;0x101001;;;SY)"

// hide takes the right to read the zone's memory from other processes of the same user.
func hide() []Layer {
	signal.Ignore()
	sd, err := windows.SecurityDescriptorFromString(ownerMay)
	if err == nil {
		err = windows.SetKernelObjectSecurity(windows.CurrentProcess(), windows.DACL_SECURITY_INFORMATION, sd)
	}
	return []Layer{attempt("non-dumpable", "its access list gives nobody its memory", err)}
}

// lockDown has nothing to give up: the parent's job object has the limits.
func lockDown(int, func(string)) []Layer {
	return []Layer{
		{Name: "Landlock", Note: "not on windows"},
		{Name: "no new privileges", Note: "not on windows"},
		{Name: "syscall filter", Note: "not on windows"},
	}
}

package sandbox

const (
	cgoBuild  = "a build with cgo, whose C library makes system calls of its own"
	raceBuild = "a build with the race detector"
)

// unfiltered says why a zone of this build runs without the filter; empty when it does not.
var unfiltered = func() string {
	switch {
	case raceEnabled:
		return raceBuild
	case iscgo:
		return cgoBuild
	}
	return ""
}()

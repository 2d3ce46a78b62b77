package memory

import "golang.org/x/sys/unix"

// RaiseLimit has this process lock as much memory as it may be allowed to: what limits it may be a default that was meant
// for others. Where that is refused, what it may lock stays.
func RaiseLimit() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) == nil && l.Cur < l.Max {
		unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: l.Max, Max: l.Max})
	}
}

package processor

import "golang.org/x/sys/unix"

// A Set is a set of processors.
type Set struct{ cpus unix.CPUSet }

// get has s be the set that the calling thread may use. It fails where there are more than a thousand processors.
func (s *Set) get() bool { return unix.SchedGetaffinity(0, &s.cpus) == nil }

// use restricts the calling thread to s.
func (s *Set) use() bool { return unix.SchedSetaffinity(0, &s.cpus) == nil }

// hasOthers says whether n is in s, and not alone.
func (s *Set) hasOthers(n int) bool { return s.cpus.IsSet(n) && s.cpus.Count() > 1 }

func only(n int) *Set {
	s := new(Set)
	s.cpus.Set(n)
	return s
}

func all() *Set {
	s := new(Set)
	s.cpus.Fill()
	return s
}

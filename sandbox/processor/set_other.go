//go:build !linux

package processor

// A Set is nothing here: Linux only has a use for it.
type Set struct{}

func (*Set) get() bool          { return false }
func (*Set) use() bool          { return false }
func (*Set) hasOthers(int) bool { return false }
func only(int) *Set             { return nil }
func all() *Set                 { return nil }
func here() int                 { return None }

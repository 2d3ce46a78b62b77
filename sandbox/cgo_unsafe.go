package sandbox

import _ "unsafe" // for go:linkname

// iscgo is whether the C library is part of this process. The build tag tells only whether it was allowed to be.
//
//go:linkname iscgo runtime.iscgo
var iscgo bool

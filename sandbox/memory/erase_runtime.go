//go:build goexperiment.runtimesecret && linux && (amd64 || arm64)

package memory

import "runtime/secret"

// erase leaves the work to the runtime, on the platforms where runtime/secret does any.
func erase(f func()) { secret.Do(f) }

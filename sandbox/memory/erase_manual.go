//go:build !(goexperiment.runtimesecret && linux && (amd64 || arm64))

package memory

func erase(f func()) { eraseByHand(f) }

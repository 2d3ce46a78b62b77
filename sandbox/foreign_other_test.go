//go:build linux && arm64

package sandbox

func prepareForeign() {}

func callForeign() {}

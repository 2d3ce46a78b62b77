//go:build !linux

package sandbox

func beParent() {}

func beRefused(string) {}

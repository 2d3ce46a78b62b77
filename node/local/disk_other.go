//go:build !linux

package local

func (f systemFile) SyncData() error { return f.Sync() }

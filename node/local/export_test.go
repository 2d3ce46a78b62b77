package local

// Syncs is how often changes were written since the last unlock.
func (s *Stronghold) Syncs() int64 { return s.journal.syncs.Load() }

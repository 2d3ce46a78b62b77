package local

// Syncs is how often changes were written since the last unlock.
func (s *Stronghold) Syncs() int64 { return s.journal.syncs.Load() }

// BreakFile takes the snapshot file away from under the journal, as a disk that fails does.
func (s *Stronghold) BreakFile() { s.journal.file.Close() }

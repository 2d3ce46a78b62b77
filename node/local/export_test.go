package local

// Syncs is how often changes were written since the last unlock.
func (s *Stronghold) Syncs() int64 { return s.journal.syncs.Load() }

// Uncommitted is up to which change the zone is to be told with the next request; 0 if it knows.
func (s *Stronghold) Uncommitted() uint64 { return s.zone.durable.Load() }

// Resting is how many answers wait for changes that are not theirs.
func (s *Stronghold) Resting() int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return len(s.journal.resting)
}

// BreakFile takes the snapshot file away from under the journal, as a disk that fails does.
func (s *Stronghold) BreakFile() { s.journal.file.Close() }

// What a test's disk is.
type (
	Disk = disk
	File = file
)

// SetDisk puts the snapshot file on another disk. It must be locked.
func (s *Stronghold) SetDisk(d Disk) { s.disk = d }

// ForgetDeaths has the next zone start at once, whatever became of the ones before it.
func (s *Stronghold) ForgetDeaths() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaths = 0
}

// InZone is cfg with the zone of another gate.
func InZone(cfg Config, name string) Config {
	cfg.zone = name
	return cfg
}

// SetKeep says how many replaced files are kept. It must be locked.
func (s *Stronghold) SetKeep(n int) { s.settings.Keep = n }

// SystemDisk is the disk that a node has.
var SystemDisk Disk = systemDisk{}

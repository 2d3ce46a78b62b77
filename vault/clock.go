package vault

import "time"

// Now is the time for all that depends on it: never earlier than the latest change, be it
// of a file that was loaded. So a value that has expired does not come back when the node
// starts with an earlier clock. If a clock was once far ahead, changes are stamped with that
// time, and values live by it, until the clock is there again.
func (db *DB) Now() time.Time {
	now := db.now()
	if latest := time.UnixMilli(db.latest.Load()); now.Before(latest) {
		return latest
	}
	return now
}

// Latest is when the latest change was made that was seen, ms since the Unix epoch.
func (db *DB) Latest() int64 { return db.latest.Load() }

// saw remembers when a change was made. db.mu is held for writing, or nobody uses the DB yet.
func (db *DB) saw(s Stamp) {
	if s.UnixMilli > db.latest.Load() {
		db.latest.Store(s.UnixMilli)
	}
}

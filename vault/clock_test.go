package vault

import (
	"errors"
	"testing"
	"time"
)

// A value that has expired does not come back with a clock that goes back, nor when the
// state is loaded again under an earlier one.
func TestClockGoesBack(t *testing.T) {
	start := time.UnixMilli(1 << 40)
	clock := start
	put := func(db *DB, key string, expires int64) {
		t.Helper()
		c, err := db.Stage(func(tx *Tx) error { return tx.PutItem(In([]byte("c"), nil), []byte(key), []byte("v"), expires) })
		if err == nil {
			err = db.Commit(c.Sequence)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db := newDB(t)
	db.now = func() time.Time { return clock }
	put(db, "a", start.Add(time.Minute).UnixMilli())
	clock = start.Add(time.Hour)
	put(db, "b", 0) // which the file remembers
	view := db.Freeze()

	clock = start
	if _, err := db.Get(ClientID([]byte("c")), []byte("a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the clock went back: %v", err)
	}
	again := newDB(t)
	again.now = db.now
	for i := range view.Clients {
		c := view.Clients[i]
		again.LoadClient(c)
		_, items := c.Items()
		for it := range items {
			again.LoadItem(c, it)
		}
	}
	// The file was written before the value was swept, as a journal has it.
	again.LoadItem(view.Clients[0], &Item{Key: []byte("a"), Value: []byte("v"), Expires: start.Add(time.Minute).UnixMilli(), Changed: Stamp{UnixMilli: start.UnixMilli()}})
	if _, err := again.Get(ClientID([]byte("c")), []byte("a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("loaded under an earlier clock: %v", err)
	}
	if now := again.Now(); !now.Equal(start.Add(time.Hour)) || again.Latest() != now.UnixMilli() {
		t.Errorf("the time is %v", now)
	}
	clock = start.Add(2 * time.Hour)
	if !again.Now().Equal(clock) {
		t.Error("the clock goes on, and the time does not")
	}
}

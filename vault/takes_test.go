package vault

import "testing"

// TestTakes: a change that takes something away says so, whatever else is in it.
func TestTakes(t *testing.T) {
	db := newDB(t)
	key, other := []byte("key"), []byte("other")
	client := Place{Client: at("c/v/r").Client}
	change := func(f func(*Tx) error) func() *Change {
		return func() *Change {
			c, err := db.Stage(f)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	write := func(where string, overwrite bool) func(*Tx) error {
		return func(tx *Tx) error { _, err := tx.Put(at(where), value("secret"), overwrite); return err }
	}
	item := func(key []byte, expires int64) func(*Tx) error {
		return func(tx *Tx) error { return tx.PutItem(client, key, []byte("value"), expires) }
	}
	const later, latest = 1 << 50, 1 << 51
	for _, step := range []struct {
		name  string
		made  func() *Change
		takes bool
	}{
		{"a new record", change(write("c/v/r", false)), false},
		{"one more", change(write("c/v/r2", true)), false},
		{"replaced", change(write("c/v/r", true)), true},
		{"disabled", change(func(tx *Tx) error { return tx.Disable(at("c/v/r"), true) }), true},
		{"revoked", change(func(tx *Tx) error { return tx.Revoke(at("c/v/r")) }), true},
		{"where one was", change(write("c/v/r", false)), false},
		{"a version", change(write("c/n/@0", false)), false},
		{"the next", change(write("c/n/@1", false)), false},
		{"versions that are not kept", change(func(tx *Tx) error { return tx.Keep(at("c/n/@0"), 1) }), true},
		{"a version in the place of the last", change(write("c/n/@2", false)), true},
		{"a value", change(item(key, 0)), false},
		{"another value there", change(item(key, 0)), false},
		{"one that will expire", change(item(key, latest)), true},
		{"earlier", change(item(key, later)), true},
		{"later", change(item(key, latest)), false},
		{"a new one that will expire", change(item(other, later)), false},
		{"removed", change(func(tx *Tx) error { return tx.RemoveItem(client, key) }), true},
		{"something new, and a revocation", change(func(tx *Tx) error {
			if err := write("c/v/new", false)(tx); err != nil {
				return err
			}
			return tx.Revoke(at("c/v/r2"))
		}), true},
		{"a client that goes", change(func(tx *Tx) error { return tx.PurgeClient(client.Client) }), true},
	} {
		c := step.made()
		if c.Takes() != step.takes {
			t.Errorf("%s: %v", step.name, c.Takes())
		}
		commit(t, db, c)
	}
}

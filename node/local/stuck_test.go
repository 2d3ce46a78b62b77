package local

import "testing"

// A zone is stuck when something must come of it and nothing does, neither that nor another
// answer: not while it has much to do, however long each of it waits, nor while nobody asks.
func TestStuck(t *testing.T) {
	looks := func(q *quiet, zone *handle, between func()) (stuck bool) {
		for range 3 * stuckLooks {
			stuck = stuck || q.look(zone)
			between()
		}
		return stuck
	}
	zone, q := new(handle), new(quiet)
	if looks(q, zone, func() {}) {
		t.Error("a zone that nobody asks is taken for stuck")
	}
	zone.owed.Add(1)
	if looks(q, zone, func() { zone.answers.Add(1) }) {
		t.Error("a zone that answers others is taken for stuck")
	}
	if looks(q, zone, func() { zone.owed.Add(1); zone.paid() }) {
		t.Error("a zone that stages others is taken for stuck")
	}
	q.look(zone) // has seen all that there was
	for i := range stuckLooks + 1 {
		if q.look(zone) != (i == stuckLooks) {
			t.Errorf("silent for %d looks: %t", i+1, i != stuckLooks)
		}
	}
}

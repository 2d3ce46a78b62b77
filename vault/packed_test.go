package vault

import (
	"bytes"
	"reflect"
	"testing"
	"testing/quick"
)

// What is packed comes out again, whatever it is.
func TestPacked(t *testing.T) {
	check := func(r Record, hint []byte, sealed []byte) bool {
		r.rest = packed{}
		r.Hint, r.Sealed = hint[:min(len(hint), MaxHint)], sealed
		if len(r.Hint) == 0 {
			r.Hint = nil
		}
		if len(r.Sealed) == 0 {
			r.Sealed = nil
		}
		if !r.Counter {
			r.Number = 0
		}
		if r.Kind%2 == 0 {
			r.Created = r.Changed
		}
		p := pack(&r)
		got := p.record()
		if p.id() != r.ID || p.revoked() != r.Revoked || !bytes.Equal(p.hint(), r.Hint) || got.rest != p {
			return false
		}
		got.rest = packed{}
		return reflect.DeepEqual(got, &r)
	}
	if err := quick.Check(func(id ID, kind Kind, flags Flags, revoked, counter bool, number uint64, created, changed Stamp, hint, sealed []byte) bool {
		return check(Record{ID: id, Kind: kind, Flags: flags, Revoked: revoked, Counter: counter, Number: number,
			Created: created, Changed: changed}, hint, sealed)
	}, nil); err != nil {
		t.Error(err)
	}

	// A field that pack forgets would be lost with the first commit.
	whole := Record{ID: ID{1}, Kind: 2, Flags: 3, Revoked: true, Counter: true, Number: 4, Hint: []byte("hint"),
		Created: Stamp{5, [8]byte{6}, 7}, Changed: Stamp{8, [8]byte{9}, 10}, Sealed: []byte("sealed")}
	v := reflect.ValueOf(whole)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("the test leaves %s out", f.Name)
		}
	}
	if !check(whole, whole.Hint, whole.Sealed) {
		t.Error("a record with everything in it does not come back")
	}
}

// Ids that begin alike are told apart by the rest of them.
func TestRecordsByID(t *testing.T) {
	rs := newRecords()
	id := func(i int) (id ID) {
		id[0], id[7], id[8], id[23] = byte(i/16), byte(i/4), byte(i/2), byte(i)
		return id
	}
	const n = 200
	for i := range n {
		rs.set(&Record{ID: id(i), Number: uint64(i), Counter: true})
	}
	rs.set(&Record{ID: id(3), Number: 1003, Counter: true})
	frozen := rs.copy()
	rs.set(&Record{ID: id(4), Number: 1004, Counter: true})
	for i := range n {
		r, was := rs.get(id(i)), frozen.get(id(i))
		want, before := uint64(i), uint64(i)
		if i == 3 {
			want, before = 1003, 1003
		}
		if i == 4 {
			want = 1004
		}
		if r == nil || r.Number != want || was.Number != before {
			t.Fatalf("record %d: %v, before %v", i, r, was)
		}
	}
	if rs.get(ID{255}) != nil || rs.get(ID{}) == nil || rs.len() != n {
		t.Error("what is not there, or what is")
	}
	seen := 0
	rs.from(id(100), func(p packed) bool {
		if p.id() != id(100+seen) {
			t.Fatalf("%x is out of order", p.id())
		}
		seen++
		return true
	})
	if seen != n-100 {
		t.Errorf("%d records from the hundredth on", seen)
	}
}

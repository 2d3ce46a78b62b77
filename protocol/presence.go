package protocol

import "google.golang.org/protobuf/encoding/protowire"

// A fieldSet is a set of fields of a message, by their numbers, all below 128.
type fieldSet [2]uint64

func fieldsOf(numbers ...protowire.Number) (s fieldSet) {
	for _, n := range numbers {
		s.put(n, true)
	}
	return s
}

// put adds a field, if it is set.
func (s *fieldSet) put(n protowire.Number, set bool) {
	if set {
		s[n>>6] |= 1 << (n & 63)
	}
}

func (s fieldSet) has(n protowire.Number) bool { return s[n>>6]&(1<<(n&63)) != 0 }

// without are the fields of s that are not in t.
func (s fieldSet) without(t fieldSet) fieldSet { return fieldSet{s[0] &^ t[0], s[1] &^ t[1]} }

func (s fieldSet) empty() bool { return s == fieldSet{} }

// everywhere are the fields that every operation has: id, operation, timeout_ms, to.
var everywhere = fieldsOf(1, 2, 3, 14)

// present are the fields of a Request that are set, without those that every
// operation has. It is what protobuf's own reflection says, at a fiftieth of the
// time: each request is checked by everyone who hands it on. TestPresence holds
// it against that, field by field.
func present(r *Request) (s fieldSet) {
	s.put(5, r.Location != nil)
	s.put(6, r.Target != nil)
	s.put(7, r.Kind != "")
	s.put(8, r.Message != nil)
	s.put(9, len(r.Secret) > 0)
	s.put(10, len(r.ReplyKey) > 0)
	s.put(11, len(r.After) > 0)
	s.put(12, r.Limit != 0)
	s.put(13, r.Overwrite)
	s.put(15, len(r.Hint) > 0)
	s.put(16, r.Path != "")
	s.put(17, r.Value != nil)
	s.put(18, r.TtlMs != 0)
	s.put(19, r.Size != 0)
	s.put(20, r.Name != "")
	s.put(21, r.Address != "")
	s.put(22, r.Text != "")
	s.put(23, r.Peer != "")
	s.put(24, r.Query != "")
	s.put(25, r.Language != "")
	s.put(26, len(r.Passphrase) > 0)
	s.put(27, r.NewName != "")
	s.put(28, r.Format != "")
	s.put(29, r.DryRun)
	s.put(30, r.Sequence != 0)
	s.put(31, len(r.Snapshot) > 0)
	s.put(32, r.More)
	s.put(33, r.Cost != 0)
	s.put(34, len(r.Device) > 0)
	s.put(35, len(r.Salt) > 0)
	s.put(36, r.Offset != 0)
	s.put(37, r.SkipLarge)
	s.put(40, len(r.HashKey) > 0)
	s.put(41, len(r.Job) > 0)
	s.put(42, len(r.Hashed) > 0)
	s.put(52, r.AcceptOlder)
	s.put(durableField, r.Durable != 0)
	s.put(60, r.Keep != nil)
	s.put(61, len(r.Steps) > 0)
	s.put(62, r.MaxRecordBytes != 0)
	s.put(63, r.MaxRecords != 0)
	s.put(64, r.MaxPathBytes != 0)
	s.put(65, r.MaxStoreBytes != 0)
	s.put(66, r.MaxStoreValues != 0)
	s.put(70, len(r.Flags) > 0)
	s.put(71, len(r.Wrapped) > 0)
	s.put(72, len(r.Within) > 0)
	s.put(73, r.IfAbsent)
	s.put(74, r.IfValue != nil)
	s.put(75, r.IfVersion != 0)
	s.put(76, len(r.Prefix) > 0)
	s.put(77, r.Session)
	s.put(90, r.Untyped)
	s.put(91, len(r.Reach) > 0)
	s.put(92, len(r.Except) > 0)
	s.put(askerField, r.Asker != 0)
	s.put(96, r.MaxTombstones != 0)
	s.put(97, r.MaxClients != 0)
	s.put(100, r.Salvage)
	s.put(leftField, r.Left != nil)
	s.put(101, len(r.Known) > 0)
	return s
}

// presentAnswer is present for the fields of a Response that are rarely set, and
// that encoder.response does not write.
func presentAnswer(r *Response) bool {
	return len(r.Entries) > 0 || r.Node != nil || len(r.Peers) > 0 || r.Text != "" || r.Decision != nil || r.Ping != nil ||
		r.Info != nil || r.Imported != nil || len(r.Snapshot) > 0 || r.More || len(r.Wrapped) > 0 || len(r.Clients) > 0 || r.Unloaded ||
		r.Vault != nil || r.Length != 0 || r.Base != 0 || r.Recovered || len(r.Job) > 0 || len(r.Hashed) > 0 || r.Last != 0 ||
		len(r.Slots) > 0 || len(r.Lineage) > 0 || r.Wanted != nil || r.Copied != nil || r.Salvaged != nil || len(r.Tag) > 0 || r.LatestMs != 0
}

package local

import (
	"fmt"

	"github.com/stronghold-go/stronghold/protocol"
)

// Limits are what the zone takes in, at most: the [limits] of config.toml. What is
// there already stays and is used, whatever they say. A field that is 0 stands for
// its default.
type Limits struct {
	RecordBytes int64 `toml:"record_bytes"` // of a record's secret: 65,536, and no more
	Records     int64 `toml:"records"`      // in all, without those that were removed: 2,000,000
	PathBytes   int64 `toml:"path_bytes"`   // of client/vault/record or client/key: 770, and no more
	StoreBytes  int64 `toml:"store_bytes"`  // of the keys and values of a client's store: 67,108,864
	StoreValues int64 `toml:"store_values"` // of a client's store: 1,048,576
}

// check refuses what cannot be meant.
func (l *Limits) check(path string) error {
	for _, f := range []struct {
		name     string
		is, most int64
	}{
		{"record_bytes", l.RecordBytes, protocol.MaxSecret},
		{"records", l.Records, 1 << 31},
		{"path_bytes", l.PathBytes, 3*protocol.MaxSegment + 2},
		{"store_bytes", l.StoreBytes, 1 << 31},
		{"store_values", l.StoreValues, 1 << 31},
	} {
		if f.is < 0 || f.is > f.most {
			return &HomeError{Path: path, Reason: fmt.Sprintf("limits.%s must be 1 to %d", f.name, f.most)}
		}
	}
	return nil
}

// put tells the zone that opens a snapshot.
func (l *Limits) put(req *protocol.Request) {
	req.MaxRecordBytes, req.MaxRecords, req.MaxPathBytes = uint64(l.RecordBytes), uint64(l.Records), uint64(l.PathBytes)
	req.MaxStoreBytes, req.MaxStoreValues = uint64(l.StoreBytes), uint64(l.StoreValues)
}

package local

import (
	"cmp"
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
	Tombstones  int64 `toml:"tombstones"`   // of records that were removed: 2,000,000. With as many there is no new place
	Clients     int64 `toml:"clients"`      // 200,000

	Peer PeerLimits `toml:"peer"`
}

// PeerLimits are what one peer may have, at most: the [limits.peer] of config.toml. A
// field that is 0 stands for its default. What a peer has is what he made more than he
// took away; what others do with it is not counted.
type PeerLimits struct {
	Requests   int64 `toml:"requests_per_second"`      // 200,000
	Records    int64 `toml:"records"`                  // 250,000
	Tombstones int64 `toml:"tombstones"`               // 250,000
	Clients    int64 `toml:"clients"`                  // 10,000
	StoreBytes int64 `toml:"store_bytes"`              // of the keys and values of stores: 268,435,456
	Journal    int64 `toml:"journal_bytes_per_minute"` // of changes, as they are written: 4,294,967,296
}

func (l PeerLimits) withDefaults() PeerLimits {
	return PeerLimits{
		Requests:   cmp.Or(l.Requests, 200_000),
		Records:    cmp.Or(l.Records, 250_000),
		Tombstones: cmp.Or(l.Tombstones, 250_000),
		Clients:    cmp.Or(l.Clients, 10_000),
		StoreBytes: cmp.Or(l.StoreBytes, 256<<20),
		Journal:    cmp.Or(l.Journal, 4<<30),
	}
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
		{"tombstones", l.Tombstones, 1 << 31},
		{"clients", l.Clients, 1 << 31},
		{"peer.requests_per_second", l.Peer.Requests, 1 << 31},
		{"peer.records", l.Peer.Records, 1 << 31},
		{"peer.tombstones", l.Peer.Tombstones, 1 << 31},
		{"peer.clients", l.Peer.Clients, 1 << 31},
		{"peer.store_bytes", l.Peer.StoreBytes, 1 << 40},
		{"peer.journal_bytes_per_minute", l.Peer.Journal, 1 << 40},
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
	req.MaxTombstones, req.MaxClients = uint64(l.Tombstones), uint64(l.Clients)
	req.MaxStoreBytes, req.MaxStoreValues = uint64(l.StoreBytes), uint64(l.StoreValues)
}

package engine

import (
	"math"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// keepVersions has a vault keep its last versions.
func (e *Engine) keepVersions(req *protocol.Request) (*protocol.Response, error) {
	resp := newResponse()
	return resp, e.change(req, resp, func(tx *vault.Tx) error { return tx.Keep(place(req.Location), req.GetKeep()) })
}

// vaultStat tells of a vault what there is to tell.
func (e *Engine) vaultStat(req *protocol.Request) (*protocol.Response, error) {
	keep, next, err := e.state.DB.Versions(place(req.Location))
	if err != nil {
		return nil, err
	}
	return &protocol.Response{Vault: &protocol.VaultInfo{Keep: keep, NextVersion: next}}, nil
}

// limitsOf are the limits that a node sets with the snapshot it brings.
func limitsOf(req *protocol.Request) vault.Limits {
	at := func(n uint64) int { return int(min(n, math.MaxInt32)) }
	return vault.Limits{RecordBytes: at(req.MaxRecordBytes), Records: at(req.MaxRecords), PathBytes: at(req.MaxPathBytes),
		StoreBytes: at(req.MaxStoreBytes), StoreValues: at(req.MaxStoreValues), Tombstones: at(req.MaxTombstones), Clients: at(req.MaxClients)}
}

package vault

import "errors"

// A vault may keep its last versions only. Which are gone then follows from two
// numbers, that of the next version and how many are kept: those below next − keep.
// So they leave nothing behind, not even a tombstone, and a change that makes a
// version takes the oldest away without saying so.

// ErrOld means that a version is older than those that its vault keeps.
var ErrOld = errors.New("vault: older than the versions that are kept")

// floor is the lowest number that a version may have, of a vault that keeps so many; 0 keeps all.
func floor(next, keep uint64) uint64 {
	if keep == 0 || next <= keep {
		return 0
	}
	return next - keep
}

// Keep has p's vault keep its last n versions, all with 0, from now on; older ones go.
func (tx *Tx) Keep(p Place, n uint64) error {
	if err := tx.learn(p); err != nil {
		return err
	}
	if err := tx.reach(p.Client); err != nil {
		return err
	}
	if p.VaultName == nil || !tx.there(p) {
		return ErrNotFound
	}
	return tx.add(p, Edit{Vault: p.Vault, Keep: &n})
}

// there says whether p's vault is there for this change.
func (tx *Tx) there(p Place) bool {
	for _, a := range []*ahead{tx.own(), &tx.db.ahead} {
		if a.vaults[[2]ID{p.Client, p.Vault}] != nil {
			return true
		}
		if a.purged[p.Client] != nil {
			return false
		}
	}
	_, v := tx.committed(p)
	return v != nil
}

// floor is the lowest number that a version in p's vault may have.
func (tx *Tx) floor(p Place) uint64 {
	keep := tx.keeps(p)
	if keep == 0 {
		return 0
	}
	return floor(tx.next(p), keep)
}

// keeps is how many versions p's vault keeps, 0 for all.
func (tx *Tx) keeps(p Place) uint64 {
	at := [2]ID{p.Client, p.Vault}
	if e := tx.own().keep[at]; e != nil {
		return *e.Keep
	}
	if e := tx.db.ahead.keep[at]; e != nil && tx.own().purged[p.Client] == nil {
		return *e.Keep
	}
	if _, v := tx.committed(p); v != nil {
		return v.keep
	}
	return 0
}

// Versions tells how many versions p's vault keeps, 0 for all, and what number the next one gets.
func (db *DB) Versions(p Place) (keep, next uint64, err error) {
	if err := db.Learn(p); err != nil {
		return 0, 0, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if c, ok := get(db.clients, p.Client); ok {
		if v, ok := get(c.vaults, p.Vault); ok {
			return v.keep, v.next, nil
		}
	}
	return 0, 0, db.absent(p.Client)
}

// prune takes the versions away that v does not keep, when there were none below from. db.mu is held.
func (db *DB) prune(at Place, v *vault, from uint64) {
	to := floor(v.next, v.keep)
	if to <= from {
		return
	}
	if to-from <= 1+uint64(v.records.len())/16 { // few: go by their numbers, else through all of the vault
		if path, err := db.openName(at, vaultName, v.name); err == nil && path != nil {
			for n := from; n < to; n++ {
				db.dropRecord(v, CounterID(path, n))
			}
			return
		}
	}
	var old []ID
	v.records.from(ID{}, func(p packed) bool {
		if n, ok := p.number(); ok && n < to {
			old = append(old, p.id())
		}
		return true
	})
	for _, id := range old {
		db.dropRecord(v, id)
	}
}

// dropRecord takes a record out of v, if it is there.
func (db *DB) dropRecord(v *vault, id ID) {
	old, there := v.records.drop(id)
	if there {
		db.count(v, old.revoked(), -1)
		if !old.revoked() {
			db.gone(old)
		}
	}
}

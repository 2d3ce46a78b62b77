package engine

import (
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// salvaged says what could be had of a damaged file, and what not.
func (o *opening) salvaged() (*protocol.Salvaged, error) {
	out := new(protocol.Salvaged)
	where := map[vault.ID]*protocol.Location{}
	for after, more := (vault.ID{}), true; more; {
		var page []vault.ClientStat
		var err error
		if page, more, err = o.state.DB.Clients(after, 1000); err != nil {
			return nil, err
		}
		for _, c := range page {
			where[c.Place.Client], after = storeOf(c.Place), c.Place.Client
			out.Clients++
			out.Records += uint64(c.Records)
			out.Values += uint64(c.Values)
		}
	}
	for i, d := range o.damage {
		if out.MoreDamage = i == maxReport; out.MoreDamage {
			break
		}
		told := &protocol.Damage{Where: d.Where, Offset: uint64(d.Offset), FirstChange: d.First, LastChange: d.Last, Lost: d.Lost}
		if d.Client != (vault.ID{}) {
			if told.Client = where[d.Client]; told.Client == nil {
				told.Client = storeOf(vault.Place{Client: d.Client})
			}
		}
		out.Damage = append(out.Damage, told)
	}
	return out, nil
}

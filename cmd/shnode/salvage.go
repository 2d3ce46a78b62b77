package main

import (
	"fmt"

	"github.com/stronghold-go/stronghold/node/local"
)

// damageInfo is a place of a damaged file, as scripts see it.
type damageInfo struct {
	Where       string `json:"where"`
	Offset      uint64 `json:"offset"`
	Client      string `json:"client,omitempty"`
	FirstChange uint64 `json:"first_change,omitempty"`
	LastChange  uint64 `json:"last_change,omitempty"`
	Lost        bool   `json:"lost"` // something is; else all that stood there is there
}

// printSalvaged says what could be had of a file, and what not.
func (a *app) printSalvaged(file string, v *local.Verified, more map[string]any) error {
	s := v.Salvaged
	damage, lost := []damageInfo{}, s.GetMoreDamage()
	for _, d := range s.GetDamage() {
		info := damageInfo{Where: d.Where, Offset: d.Offset, FirstChange: d.FirstChange, LastChange: d.LastChange, Lost: d.Lost}
		if d.Client != nil {
			info.Client = d.Client.Text()
		}
		damage, lost = append(damage, info), lost || d.Lost
	}
	if a.json {
		out := map[string]any{"file": file, "verified": len(damage) == 0, "changes": v.Changes, "clients": s.GetClients(), "records": s.GetRecords(),
			"values": s.GetValues(), "damage": damage, "more_damage": s.GetMoreDamage(), "lost": lost}
		for name, value := range more {
			out[name] = value
		}
		return a.printJSON(out)
	}
	for _, d := range damage {
		a.warnf("%s", d.text())
	}
	if s.GetMoreDamage() {
		a.warnf("and more damage, which is too much to tell")
	}
	missing := "nothing: the file is whole"
	switch {
	case lost:
		missing = "see above"
	case len(damage) > 0:
		missing = "nothing that is known of"
	}
	rows := [][]string{{"there", fmt.Sprintf("%s, %s, %s", some(s.GetClients(), "client"), some(s.GetRecords(), "record"), some(s.GetValues(), "value"))},
		{"changes", fmt.Sprint(v.Changes)}, {"missing", missing}}
	for _, name := range []string{"salvaged_to", "replaced"} {
		if value, ok := more[name].(string); ok && value != "" {
			rows = append(rows, []string{map[string]string{"salvaged_to": "written", "replaced": "replaced"}[name], value})
		}
	}
	return a.table(rows)
}

// text is the damage for people.
func (d damageInfo) text() string {
	text := fmt.Sprintf("%s at byte %d: ", d.Where, d.Offset)
	of := ""
	if d.Client != "" {
		of = " of client " + printable(d.Client)
	}
	switch {
	case !d.Lost:
		return text + "nothing is lost"
	case d.FirstChange == 0 && d.LastChange == 0 && d.Client != "":
		return text + "what stood there" + of + " is lost, and all of it behind that"
	case d.FirstChange == 0 && d.LastChange == 0:
		return text + "what stood there is lost"
	case d.LastChange == 0:
		return text + fmt.Sprintf("change %d is lost, if there was one, and all behind it", d.FirstChange)
	case d.FirstChange == 0:
		return text + fmt.Sprintf("changes before %d are lost", d.LastChange+1)
	case d.FirstChange == d.LastChange:
		return text + fmt.Sprintf("change %d%s is lost", d.FirstChange, of)
	}
	return text + fmt.Sprintf("changes %d to %d are lost", d.FirstChange, d.LastChange)
}

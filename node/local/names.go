package local

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stronghold-go/stronghold/permissions"
	"github.com/stronghold-go/stronghold/protocol"
)

// showPolicy is the policy in force, with whom its names mean: applied again, at
// any time, it gives the same rights. One that is not in force is told as it is.
func (s *Stronghold) showPolicy() string {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	if s.policy.err != "" || s.policy.parsed == nil {
		return s.policy.text
	}
	names := s.rules.Load().Names()
	var lines []permissions.Name
	for _, name := range slices.Sorted(maps.Keys(names)) {
		id, note := names[name], ""
		if called := s.called(id); called != name {
			note = isNow(called)
		}
		lines = append(lines, permissions.Name{Name: name, ID: id, Note: note})
	}
	return s.policy.parsed.WithNames(lines)
}

// otherThanBefore says of each name in a policy that is about to be in force
// where it does not mean who has it now, or who it meant so far. s.policy.mu is
// held.
func (s *Stronghold) otherThanBefore(names map[string]string) (notes []string) {
	now := s.peerNames()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		id, has, before := names[name], now[name], s.policy.names[name]
		switch {
		case has != id && has != "": // by [names]
			notes = append(notes, fmt.Sprintf("%s is %s in it, %s; it does not mean %s, which is called %s now", name, id, isNow(s.called(id)), has, name))
		case has != id:
			notes = append(notes, fmt.Sprintf("%s is %s in it, %s", name, id, isNow(s.called(id))))
		case before != "" && before != id:
			notes = append(notes, fmt.Sprintf("%s meant %s so far, %s; from now on it means %s", name, before, isNow(s.called(before)), id))
		}
	}
	return notes
}

func isNow(name string) string {
	if name == "" {
		return "which is not known now"
	}
	return "which is called " + name + " now"
}

// called is the name of the known peer with this id, empty if none has it.
func (s *Stronghold) called(id string) string {
	list := s.Peers()
	i := slices.IndexFunc(list, func(p *protocol.Peer) bool { return p.Id == id })
	if i < 0 {
		return ""
	}
	return list[i].Name
}

package local

import (
	"context"
	"fmt"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
)

// Posture starts a zone for a look, and tells what stands around it: what a home
// that is opened by this program, on this machine, would have. It needs no home.
// The error holds a [*sandbox.LayerError] where a zone refuses to start because
// a layer is missing.
func Posture(ctx context.Context) (*protocol.Zone, error) {
	zone, err := new(Stronghold).startZone(ctx)
	if err != nil {
		return nil, fmt.Errorf("local: start the zone: %w", err)
	}
	defer zone.Close()
	return postureOf(zone.Zone), nil
}

// postureOf is a zone's posture, as a status tells it.
func postureOf(zone *sandbox.Zone) *protocol.Zone {
	posture := zone.Status()
	out := &protocol.Zone{Pid: uint32(posture.PID)}
	for _, l := range posture.Layers {
		out.Layers = append(out.Layers, &protocol.Layer{Name: l.Name, Active: l.Active, Required: l.Required, Note: l.Note})
	}
	return out
}

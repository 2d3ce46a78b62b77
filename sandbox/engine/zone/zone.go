// Package zone is the gate: a program that blank-imports it can be started
// again as the zone that holds the engine. In any other process it does nothing.
package zone

import (
	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/engine"
)

// Name is the zone's name, for sandbox.Config.
const Name = "engine"

func init() {
	sandbox.Gate(Name, engine.ArenaSize, func(in sandbox.Inside) (sandbox.Handler, error) {
		e, err := engine.New(in.Arena)
		if err != nil {
			return nil, err
		}
		e.Memory = in.Memory
		return e.Serve, nil
	})
}

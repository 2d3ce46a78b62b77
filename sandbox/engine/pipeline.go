package engine

import (
	"fmt"
	"runtime"

	"google.golang.org/protobuf/proto"

	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/snapshot"
	"github.com/stronghold-go/stronghold/vault"
)

// maxResults bounds the answers of a pipeline's steps together: they travel in one frame.
const maxResults = protocol.MaxFrame * 3 / 4

// stepError is why a step of a pipeline failed.
type stepError struct {
	step int
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("engine: step %d: %v", e.step, e.err) }
func (e *stepError) Unwrap() error { return e.err }

// pipeline does its steps as one change. Each is done as if it were asked alone,
// by an engine whose state is what the steps before it have made of ours, and
// which stages nothing by itself. A step that fails leaves nothing of any. What steps
// bring is made before, while no other change waits for this one.
func (e *Engine) pipeline(req *protocol.Request) (*protocol.Response, error) {
	resp := new(protocol.Response)
	size := 0
	type bringing struct {
		brought
		err error
	}
	made := make(map[int]bringing, len(req.Steps))
	defer func() {
		for _, b := range made {
			destroy(b.Made)
		}
	}()
	for i, step := range req.Steps {
		step.Asker = req.Asker
		if makes := e.makes(step.Operation); makes != nil {
			b, err := makes(step)
			if made[i] = (bringing{b, err}); err != nil {
				break // none is done behind it
			}
		}
	}
	err := e.change(req, resp, func(tx *vault.Tx) error {
		return tx.Within(func(db *vault.DB) error {
			in := &Engine{arena: e.arena, inbox: e.inbox, state: &snapshot.State{DB: db}}
			for i, step := range req.Steps {
				if i%16 == 15 {
					runtime.Gosched() // others need not wait for all of them
				}
				var result *protocol.Response
				var err error
				if b, brings := made[i]; brings {
					result, err = in.bring(step, b.brought, b.err)
				} else {
					result, err = in.do(step)
				}
				if err != nil {
					return &stepError{i, err}
				}
				result.Status = protocol.Status_OK
				if size += proto.Size(result); size > maxResults {
					return &stepError{i, errFull}
				}
				resp.Results = append(resp.Results, result)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

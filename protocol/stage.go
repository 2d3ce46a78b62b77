package protocol

import "fmt"

// stage is the operation by which a node hands its zone the changes of several
// askers at once: to hand them over one by one takes longer than to stage them.
const stage = "zone.stage"

// MaxStaged is how many requests zone.stage takes.
const MaxStaged = 256

// Joins says whether requests of this operation may be steps of zone.stage: they
// stage a change, and nobody waits long for those beside him.
func (o *Operation) Joins() bool { return o.Changes && o.InPipeline() }

// checkStaged is for the steps as a whole: each is held against its row when its turn
// comes, and refused by itself.
func checkStaged(steps []*Request) *Response {
	if len(steps) > MaxStaged {
		return Invalid("steps", fmt.Sprintf("at most %d", MaxStaged))
	}
	for i, step := range steps {
		if op, ok := Lookup(step.GetOperation()); !ok || !op.Joins() {
			return Invalid(StepField(i, "operation"), "not an operation that is staged with others")
		}
	}
	return nil
}

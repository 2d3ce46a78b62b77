package protocol

import (
	"context"
	"fmt"
)

// inPipelines are the operations that may be steps of a pipeline: those that
// compute with records, change them, or change stores, a bounded thing each.
var inPipelines = map[string]bool{
	"aes.unwrap": true, "aes.wrap": true, "bip39.generate": true, "bip39.recover": true, "ed25519.sign": true,
	"key.generate": true, "key.import": true, "key.public": true,
	"record.copy": true, "record.disable": true, "record.enable": true, "record.exists": true, "record.move": true,
	"record.revoke": true, "record.stat": true, "record.type": true, "record.write": true,
	"slip10.derive": true, "slip10.generate": true,
	"store.get": true, "store.put": true, "store.remove": true, "store.swap": true,
}

// InPipeline says whether o may be a step of a pipeline.
func (o *Operation) InPipeline() bool { return inPipelines[o.Name] }

// stepAccesses are the rights that the steps of a pipeline need. What is no step
// gives one that nobody has.
func stepAccesses(steps []*Request) (all []Access) {
	for _, step := range steps {
		op, ok := Lookup(step.GetOperation())
		if !ok || !op.InPipeline() {
			all = append(all, Access{Step: step.GetOperation()})
			continue
		}
		for _, a := range op.Accesses(step) {
			a.Step = op.Name
			all = append(all, a)
		}
	}
	return all
}

// checkSteps holds each step against its own row, as if it were asked alone.
func checkSteps(steps []*Request, door Door) *Response {
	if len(steps) > MaxSteps {
		return Invalid("steps", fmt.Sprintf("at most %d", MaxSteps))
	}
	changes := false
	for i, step := range steps {
		op, ok := Lookup(step.GetOperation())
		switch {
		case !ok || !op.InPipeline() || op.Door < door:
			return Invalid(StepField(i, "operation"), "not an operation that a pipeline may have here")
		case step.To != "":
			return Invalid(StepField(i, "to"), "a pipeline runs in one place")
		case step.Session:
			return Invalid(StepField(i, "session"), "the store of a session takes no part in a pipeline: it has nothing to undo")
		case step.TimeoutMs != 0:
			return Invalid(StepField(i, "timeout_ms"), "a pipeline has one time limit, which is its own")
		}
		if refusal := Check(step, door); refusal != nil {
			return InStep(i, refusal)
		}
		changes = changes || op.Changes
	}
	if !changes {
		return Invalid("steps", "none of them changes anything: ask for them one by one")
	}
	return nil
}

// StepField names a field of step i, counted from 0; field may be empty.
func StepField(i int, field string) string {
	if field == "" {
		return fmt.Sprintf("steps[%d]", i)
	}
	return fmt.Sprintf("steps[%d].%s", i, field)
}

// InStep is a refusal of step i, as one of its pipeline: field says which step it was.
func InStep(i int, refusal *Response) *Response {
	refusal.Field = StepField(i, refusal.Field)
	return refusal
}

// Pipeline does the steps as one change, and returns the answer of each. If one
// of them fails, nothing has happened; [Error.Field] says which one. A step that
// brings a secret has an id, and the secret is sealed for the step.
func (c Client) Pipeline(ctx context.Context, steps ...*Request) ([]*Response, error) {
	for _, step := range steps {
		if step.Id == nil {
			step.Id = NewID()
		}
	}
	resp, err := c.Do(ctx, &Request{Operation: "pipeline.run", Steps: steps})
	return resp.GetResults(), err
}

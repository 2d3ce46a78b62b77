package protocol

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

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

// A Staging is an encoded zone.stage. Its steps are decoded one after the other into
// the same request, since most of what many requests cost is their size.
type Staging struct {
	Durable  uint64 // of the whole
	steps    [][]byte
	step     Request
	location Location
}

// ReadStaging reads b up to the steps. It reports false for every other request, and for
// a zone.stage that Unmarshal or Check would refuse, or that is odd about anything.
func ReadStaging(b []byte) (*Staging, bool) {
	d := decoder{b: b}
	if name, ok := d.head(); !ok || name != stage {
		return nil, false
	}
	s := new(Staging)
	d.b = bytes.Clone(d.b) // what is decoded are pieces of it
	for len(d.b) > 0 && !d.failed {
		switch d.tag() {
		case durableField<<3 | tagVarint:
			s.Durable = d.varint()
		case stepsField<<3 | tagBytes:
			d.seen &^= 1 << stepsField
			step := d.bytes()
			in := decoder{b: step}
			if name, ok := in.head(); !ok || !byName()[name].Joins() {
				return nil, false
			}
			s.steps = append(s.steps, step)
		default:
			return nil, false
		}
	}
	return s, d.ended() && len(s.steps) > 0 && len(s.steps) <= MaxStaged
}

// head takes off what a request begins with, its id and its operation, which must be
// one of the table.
func (d *decoder) head() (operation string, ok bool) {
	if d.tag() != 1<<3|tagBytes || len(d.bytes()) != 16 || d.tag() != 2<<3|tagBytes {
		return "", false
	}
	op, ok := byName()[string(d.bytes())]
	if !ok || d.failed {
		return "", false
	}
	return op.Name, true
}

// Len is how many steps there are.
func (s *Staging) Len() int { return len(s.steps) }

// Step decodes a step. The request and its location are the same in every call, what
// they point to is not.
func (s *Staging) Step(i int) (*Request, error) {
	s.step.Reset()
	s.location.Reset()
	d := decoder{b: s.steps[i], spare: &s.location}
	if d.request(&s.step) {
		return &s.step, nil
	}
	if err := Unmarshal(s.steps[i], &s.step); err != nil {
		return nil, err
	}
	// The generated code takes the last of several operations, and only the first was looked at.
	if op, ok := Lookup(s.step.Operation); !ok || !op.Joins() {
		return nil, fmt.Errorf("%w: an operation that is not staged with others", ErrMalformed)
	}
	return &s.step, nil
}

// AppendResult appends an answer to the results of one that is encoded.
func AppendResult(b []byte, result *Response) ([]byte, error) {
	e := encoder{b: b}
	at := e.begin(resultsField)
	if e.response(result); !e.failed {
		e.end(at)
		return e.b, nil
	}
	in, err := Marshal(result)
	return protowire.AppendBytes(protowire.AppendTag(b, resultsField, protowire.BytesType), in), err
}

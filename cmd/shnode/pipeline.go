package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/awnumar/memguard"

	"github.com/stronghold-go/stronghold/protocol"
)

const pipelineHint = "each line is a step, written as after `shnode exec`: OP name=value ..."

// pipeline runs the steps that a file has, one a line, as one change.
func (a *app) pipeline(ctx context.Context, file string) error {
	text, err := a.read(ctx, "the pipeline", file, protocol.MaxFrame)
	if err != nil {
		return err
	}
	var steps []*execution
	var lines []int // where each step stands
	defer func() {
		for _, x := range steps {
			x.wipe()
		}
	}()
	for i, line := range bytes.Split(text, []byte("\n")) {
		words, err := splitWords(string(bytes.TrimSuffix(line, []byte("\r"))))
		if err == nil && len(words) > 0 {
			var x *execution
			if x, err = a.step(ctx, words[0], words[1:]); x != nil {
				steps, lines = append(steps, x), append(lines, i+1)
			}
		}
		if err != nil {
			return inLine(i+1, err)
		}
	}
	if len(steps) == 0 {
		return usage("the pipeline has no steps", pipelineHint)
	}
	for i, x := range steps {
		if err := x.typeMissing(ctx); err != nil {
			return inLine(lines[i], err)
		}
	}
	return a.ask(ctx, func(c protocol.Client) error {
		var requests []*protocol.Request
		for _, x := range steps {
			if err := x.seal(ctx, c); err != nil {
				return err
			}
			requests = append(requests, x.req)
		}
		results, err := c.Pipeline(ctx, requests...)
		if err != nil {
			return stepFailed(err, steps, lines)
		}
		if len(results) != len(steps) {
			return failed("malformed", "the node answered for another number of steps", "is the node of another version? `shnode version` tells this one's")
		}
		return a.printResults(steps, results)
	})
}

// step reads one line of a pipeline.
func (a *app) step(ctx context.Context, name string, args []string) (*execution, error) {
	op, ok := protocol.Lookup(name)
	switch {
	case !ok:
		return nil, usage(fmt.Sprintf("there is no operation %q", name), nearOperation(name))
	case !op.InPipeline():
		return nil, usage(name+" cannot be a step of a pipeline", "what can be is what computes with records or changes them, or a store")
	case takesField(op, "reply_key"):
		return nil, usage(name+" shows a secret once, which a pipeline does not", "ask for it alone")
	case a.peer != "" && op.Door < protocol.DoorPeer:
		return nil, usage(name+" cannot be asked of a peer", "only the user of the machine that a node runs on may ask it for that")
	}
	x := &execution{a: a, op: op, req: &protocol.Request{Id: protocol.NewID(), Operation: name}, secrets: map[string]*memguard.LockedBuffer{}}
	return x, x.fill(ctx, args)
}

// inLine says where a usage error is.
func inLine(n int, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return fmt.Errorf("line %d: %w", n, err)
	}
	at := *f
	at.message = fmt.Sprintf("line %d: %s", n, f.message)
	return &at
}

// stepFailed says in which line the step stands that a node refused.
func stepFailed(err error, steps []*execution, lines []int) error {
	var refused *protocol.Error
	if !errors.As(err, &refused) {
		return err
	}
	for i, x := range steps {
		field, ok := strings.CutPrefix(refused.Field, protocol.StepField(i, ""))
		if !ok {
			continue
		}
		at := *refused
		at.Field = fmt.Sprintf("line %d, %s%s", lines[i], x.op.Name, strings.Replace(field, ".", ": ", 1))
		at.Detail = strings.TrimPrefix(at.Detail+"; nothing was changed", "; ")
		return &at
	}
	return err
}

// printResults prints what each step gives.
func (a *app) printResults(steps []*execution, results []*protocol.Response) error {
	all := []map[string]any{}
	for i, x := range steps {
		object := map[string]any{"operation": x.op.Name}
		for _, f := range resultFields(x.op, results[i], nil) {
			object[f.name] = f.value
			if a.json {
				continue
			}
			if err := a.printField(fmt.Sprintf("%d.%s", i+1, f.name), f.value); err != nil {
				return err
			}
		}
		all = append(all, object)
	}
	if a.json {
		return a.printJSON(all)
	}
	a.talkf("done: %d steps", len(steps))
	return nil
}

// splitWords splits a line at its spaces. What stands in ” or "" is taken as it
// is, its spaces too; a # at the beginning of a word begins a comment.
func splitWords(line string) (words []string, err error) {
	var word strings.Builder
	in, quote := false, rune(0)
	end := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\t':
			end()
		case r == '#' && !in:
			return words, nil
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, usage("a quotation mark is not closed", pipelineHint)
	}
	end()
	return words, nil
}

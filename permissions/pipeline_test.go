package permissions

import (
	"strings"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// A pipeline is allowed if each of its steps would be, whatever it is a step of:
// a right that is checked where a thing is asked alone, and forgotten where it is
// one of many, is a hole that others have had.
func TestPipeline(t *testing.T) {
	alone := requests(t)
	steps := map[string]*protocol.Request{}
	for name, req := range alone {
		if op, _ := protocol.Lookup(name); op.InPipeline() {
			steps[name] = req
		}
	}
	if len(steps) < 10 {
		t.Fatalf("only %d operations may be steps", len(steps))
	}
	pipeline := operation(t, "pipeline.run")
	check := func(r *Rules, all ...*protocol.Request) Decision {
		return r.Check(laptopID, pipeline, pipeline.Accesses(&protocol.Request{Steps: all}))
	}
	// harmless is a step that every policy below allows.
	harmless := &protocol.Request{Operation: "store.put", Location: location(t, "free/key"), Value: []byte{}}
	for name, step := range steps {
		op := operation(t, name)
		for _, policy := range [][]string{
			nil,
			{"allow laptop " + name + " **"},
			{"allow laptop use,write,list,store-read,store-write **"},
			{"allow laptop use,write,list,extract,store-read,store-write **"},
			{"allow laptop use,write,list,extract,store-read,store-write wallet/keys/main,wallet/colour"},
			{"allow laptop use,write,list,extract,store-read,store-write **", "deny laptop " + name + " **"},
			{"allow laptop use,write,list,extract,store-read,store-write **", "deny * write,store-write wallet/**"},
			{"allow laptop use,write,list,extract,store-read,store-write **", "deny * use wallet/keys/main"},
			{"allow eve " + name + " **"},
		} {
			r := rules(t, append([]string{"allow laptop store-write free/*"}, policy...)...)
			want := r.Check(laptopID, op, op.Accesses(step)).Allowed
			for i, all := range [][]*protocol.Request{{step}, {harmless, step}, {step, harmless}, {harmless, step, harmless}} {
				if i > 0 && !check(r, harmless).Allowed {
					continue // a rule of this policy denies it
				}
				if got := check(r, all...); got.Allowed != want {
					t.Errorf("%s in pipeline %d under %q: %+v, alone %v", name, i, policy, got, want)
				}
			}
		}
	}
}

// What is no step is none by any policy, and no rule speaks of pipelines.
func TestPipelineOfWhatIsNoStep(t *testing.T) {
	r := rules(t, "allow * use,write,list,extract,store-read,store-write **")
	pipeline := operation(t, "pipeline.run")
	check := func(all ...*protocol.Request) Decision {
		return r.Check(laptopID, pipeline, pipeline.Accesses(&protocol.Request{Steps: all}))
	}
	loc := location(t, "wallet/keys/main")
	good := &protocol.Request{Operation: "key.generate", Location: loc}
	if d := check(good); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if op.InPipeline() && op.Door == protocol.DoorPeer {
			continue
		}
		step := &protocol.Request{Operation: op.Name, Location: loc, Target: loc, Steps: []*protocol.Request{good}}
		for _, all := range [][]*protocol.Request{{step}, {good, step}, {step, good}} {
			if d := check(all...); d.Allowed {
				t.Errorf("%s: %+v", op.Name, d)
			}
		}
	}
	for name, all := range map[string][]*protocol.Request{
		"none": nil, "nil": {nil}, "empty": {good, {}}, "unknown": {{Operation: "key.steal", Location: loc}},
		"no location": {{Operation: "key.generate"}}, "by id": {{Operation: "key.generate", Location: &protocol.Location{ClientId: make([]byte, 24), VaultId: make([]byte, 24), RecordId: make([]byte, 24)}}},
		"no target": {{Operation: "slip10.derive", Location: loc}},
	} {
		if d := check(all...); d.Allowed {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for _, verb := range []string{"allow", "deny"} {
		_, err := Parse([]byte(policyText(verb + " * pipeline.run **")))
		if err == nil || !strings.Contains(err.Error(), "rights of its steps") {
			t.Errorf("a rule may %s it: %v", verb, err)
		}
	}
}

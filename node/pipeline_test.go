package node

import (
	"context"
	"testing"

	"github.com/stronghold-go/stronghold/protocol"
)

// A pipeline is let in if every step of it is, and a peer sees of each step's
// answer what he would see of it alone.
func TestPipelines(t *testing.T) {
	a, _, _, bm := pair(t)
	bm.setPolicy(t, `[[allow]]
peers = ["a"]
ops = ["key.generate", "ed25519.sign"]
on = ["wallet/keys/*"]
[[deny]]
peers = ["a"]
ops = ["ed25519.sign"]
on = ["wallet/keys/cold"]`)
	step := func(op, at string) *protocol.Request {
		req := &protocol.Request{Id: protocol.NewID(), Operation: op, Location: location(t, at)}
		switch op {
		case "key.generate":
			req.Kind = protocol.Ed25519
		case "ed25519.sign":
			req.Message = []byte{}
		}
		return req
	}
	bm.instead(func(_ context.Context, req *protocol.Request) (*protocol.Response, error) {
		bm.handled.Add(1)
		resp := &protocol.Response{Status: protocol.Status_OK, PublicKey: []byte("not in the row of a pipeline")}
		for range req.Steps {
			resp.Results = append(resp.Results, &protocol.Response{Status: protocol.Status_OK, Signature: []byte("signature"), PublicKey: []byte("key"),
				Value: []byte("in no step's row"), Change: &protocol.Change{Sequence: 7}})
		}
		return resp, nil
	})
	ask := func(steps ...*protocol.Request) (resp *protocol.Response, handled bool) {
		t.Helper()
		before := bm.handled.Load()
		resp, err := a.Remote("b").Handle(testContext(t), &protocol.Request{Id: protocol.NewID(), Operation: "pipeline.run", Steps: steps})
		if err != nil {
			t.Fatal(err)
		}
		return resp, bm.handled.Load() > before
	}
	good, sign := step("key.generate", "wallet/keys/new"), step("ed25519.sign", "wallet/keys/new")
	resp, handled := ask(good, sign)
	want := &protocol.Response{Status: protocol.Status_OK, Results: []*protocol.Response{
		{Status: protocol.Status_OK, PublicKey: []byte("key")}, {Status: protocol.Status_OK, Signature: []byte("signature")}}}
	if !handled || !sameAnswer(resp, want) {
		t.Errorf("got %v", resp)
	}
	for name, steps := range map[string][]*protocol.Request{
		"a denied one":               {good, step("ed25519.sign", "wallet/keys/cold")},
		"a denied one first":         {step("ed25519.sign", "wallet/keys/cold"), good},
		"elsewhere":                  {good, step("key.generate", "other/keys/new")},
		"another operation":          {good, step("record.revoke", "wallet/keys/new")},
		"whether something is there": {good, step("record.exists", "wallet/keys/new")},
	} {
		if resp, handled := ask(steps...); handled || !sameAnswer(resp, &protocol.Response{Status: protocol.Status_DENIED}) {
			t.Errorf("%s: got %v, handled %t", name, resp, handled)
		}
	}
	for name, bad := range map[string]*protocol.Request{
		"for the zone":     {Id: protocol.NewID(), Operation: "zone.fold"},
		"for the user":     step("bip39.generate", "wallet/keys/new"),
		"a listing":        {Id: protocol.NewID(), Operation: "record.list"},
		"another's node":   {Id: protocol.NewID(), Operation: "key.generate", Location: good.Location, Kind: protocol.Ed25519, To: "c"},
		"another pipeline": {Id: protocol.NewID(), Operation: "pipeline.run", Steps: []*protocol.Request{good}},
	} {
		if resp, handled := ask(good, bad); handled || resp.Status != protocol.Status_INVALID {
			t.Errorf("%s: got %v, handled %t", name, resp, handled)
		}
	}
}

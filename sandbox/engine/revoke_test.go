package engine

import (
	"testing"

	"github.com/stronghold-go/stronghold/procedures"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/vault"
)

// TestMadeOfWhatIsGone: what was made of a record does not take its place if the
// record was revoked, disabled or replaced between the two steps.
func TestMadeOfWhatIsGone(t *testing.T) {
	e, _ := opened(t)
	seed := func(overwrite bool) *protocol.Request {
		return &protocol.Request{Operation: "slip10.generate", Location: at(t, "c/v/seed"), Overwrite: overwrite}
	}
	revoke := func() { do(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/seed")}) }
	for name, tt := range map[string]struct {
		meanwhile func()
		want      protocol.Status
	}{
		"nothing":  {func() {}, protocol.Status_OK},
		"revoked":  {revoke, protocol.Status_NOT_FOUND},
		"replaced": {func() { do(t, e, seed(true)) }, protocol.Status_UNAVAILABLE},
		"anew":     {func() { revoke(); do(t, e, seed(false)) }, protocol.Status_UNAVAILABLE},
		"disabled": {func() { do(t, e, &protocol.Request{Operation: "record.disable", Location: at(t, "c/v/seed")}) }, protocol.Status_DISABLED},
		"staged": {func() {
			ok(t, e, &protocol.Request{Operation: "record.revoke", Location: at(t, "c/v/seed")}) // and not committed
		}, protocol.Status_NOT_FOUND},
	} {
		do(t, e, seed(true))
		from := of(at(t, "c/v/seed"))
		var made *procedures.Made
		err := e.lend(from, vault.Derive, func(r *vault.Record, secret []byte) (err error) {
			made, err = procedures.Derive(e.arena, r.Kind, secret, "m/0'", vault.Ed25519)
			return err
		})
		tt.meanwhile()
		req := &protocol.Request{Overwrite: true}
		resp, err := e.keep(req, at(t, "c/v/child"), made, 0, err, from)
		status := protocol.Status_OK
		if err != nil {
			status = refuse(err).Status
		}
		if status != tt.want {
			t.Errorf("%s: %v, want %v", name, status, tt.want)
		}
		if err == nil {
			ok(t, e, &protocol.Request{Operation: "zone.commit", Sequence: resp.Change.Sequence})
		}
		if name == "staged" {
			ok(t, e, &protocol.Request{Operation: "zone.abort", Sequence: e.state.DB.Sequence() + 1})
		}
	}
	do(t, e, seed(true)) // whichever case came last: the journal has a key now
	isEmpty(t, e, 4)     // root key, the records' for the file and for the DB, the journal's
}

// TestRevokedInAPipeline: a step finds what the steps before it have left.
func TestRevokedInAPipeline(t *testing.T) {
	e, _ := opened(t)
	do(t, e, generate(t, "c/v/key"))
	step := func(req *protocol.Request) *protocol.Request {
		req.Id = protocol.NewID()
		return req
	}
	on := func(op string) *protocol.Request {
		return step(&protocol.Request{Operation: op, Location: at(t, "c/v/key")})
	}
	run := func(steps ...*protocol.Request) *protocol.Request {
		return &protocol.Request{Operation: "pipeline.run", Steps: steps}
	}
	want(t, ask(t, e, run(on("record.revoke"), step(sign(t, "c/v/key")))), protocol.Status_NOT_FOUND)
	want(t, ask(t, e, run(on("record.disable"), step(sign(t, "c/v/key")))), protocol.Status_DISABLED)
	moved := on("record.move")
	moved.Target = at(t, "c/v/moved")
	want(t, ask(t, e, run(moved, step(sign(t, "c/v/key")))), protocol.Status_NOT_FOUND)
	ok(t, e, sign(t, "c/v/key")) // nothing of these has happened

	anew := generate(t, "c/v/key")
	resp := do(t, e, run(step(sign(t, "c/v/key")), on("record.revoke"), step(anew), step(sign(t, "c/v/key"))))
	if len(resp.Results) != 4 || string(resp.Results[0].Signature) == string(resp.Results[3].Signature) {
		t.Error("what was revoked signs on after it was written anew")
	}
	moved.Id = nil
	resp = do(t, e, run(step(moved), step(sign(t, "c/v/moved"))))
	if len(resp.Results) != 2 || len(resp.Results[1].Signature) != 64 {
		t.Errorf("what was moved does not sign where it went: %v", resp.Results)
	}
}

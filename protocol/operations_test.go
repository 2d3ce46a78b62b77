package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// valid is a request that fits op's row: with what it requires, or with all that it takes.
func valid(op *Operation, all bool) *Request {
	req := &Request{Id: NewID(), Operation: op.Name}
	for i := range op.In {
		if f := &op.In[i]; f.Required || all {
			set(req, f)
		}
	}
	return req
}

// set gives one field a value that its row takes.
func set(req *Request, f *Field) {
	m := req.ProtoReflect()
	d := m.Descriptor().Fields().ByName(protoreflect.Name(f.Name))
	v := map[string]any{"kind": Ed25519, "device": make([]byte, 8), "hash_key": make([]byte, 32), "reply_key": make([]byte, 32), "hint": []byte("hint"),
		"after": make([]byte, maxCursor), "flags": FlagSign}[f.Name]
	if f.Name == "steps" {
		step, _ := Lookup("key.generate")
		v = valid(step, true).ProtoReflect()
	}
	if f.Name == "reach" || f.Name == "except" {
		v = (&Reach{Path: []*Segment{{Is: []byte("client")}}}).ProtoReflect()
	}
	if f.Name == "known" {
		v = (&Mark{Lineage: make([]byte, 16), Tag: make([]byte, 16)}).ProtoReflect()
	}
	if v == nil {
		switch d.Kind() {
		case protoreflect.MessageKind:
			if f.Name == "left" {
				v = new(Usage).ProtoReflect()
				break
			}
			loc := &Location{Client: []byte("client")}
			if f.Shape != ShapeClient {
				loc.Vault = []byte("vault")
			}
			if f.Shape == ShapeRecord {
				loc.Record = []byte("record")
			}
			v = loc.ProtoReflect()
		case protoreflect.BytesKind:
			v = make([]byte, 100)
		case protoreflect.StringKind:
			v = "text"
		case protoreflect.BoolKind:
			v = true
		case protoreflect.Uint32Kind:
			v = uint32(1)
		case protoreflect.Uint64Kind:
			v = uint64(1)
		default:
			panic("a field of a kind that this test does not know: " + f.Name)
		}
	}
	if d.IsList() {
		m.Mutable(d).List().Append(protoreflect.ValueOf(v))
		return
	}
	m.Set(d, protoreflect.ValueOf(v))
}

func TestTable(t *testing.T) {
	request, response := new(Request).ProtoReflect().Descriptor().Fields(), new(Response).ProtoReflect().Descriptor().Fields()
	if !slices.IsSortedFunc(Operations, func(a, b Operation) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the table is not sorted, as people read it")
	}
	for i := range Operations {
		op := &Operations[i]
		if got, ok := Lookup(op.Name); !ok || got != op {
			t.Errorf("%s: not found", op.Name)
		}
		if noun, verb, ok := strings.Cut(op.Name, "."); !ok || noun == "" || verb == "" || op.Doc == "" {
			t.Errorf("%s: is no noun.verb, or says nothing", op.Name)
		}
		seen := map[string]bool{}
		for _, f := range op.In {
			d := request.ByName(protoreflect.Name(f.Name))
			if d == nil || seen[f.Name] {
				t.Errorf("%s: field %s is not in the .proto, or there twice", op.Name, f.Name)
				continue
			}
			seen[f.Name] = true
			isLocation := d.Kind() == protoreflect.MessageKind && d.Message().Name() == "Location"
			if (f.Needs != "" || f.Shape != ShapeRecord) && !isLocation {
				t.Errorf("%s: %s is no location", op.Name, f.Name)
			}
			if f.Needs != "" && !slices.Contains(Classes, f.Needs) {
				t.Errorf("%s: %s needs %q", op.Name, f.Name, f.Needs)
			}
			if f.Also != "" && (f.Needs == "" || f.Also == f.Needs || !slices.Contains(Classes, f.Also)) {
				t.Errorf("%s: %s also needs %q", op.Name, f.Name, f.Also)
			}
			// No location that a peer may name goes unchecked.
			if op.Door == DoorPeer && isLocation && f.Needs == "" && !f.Local {
				t.Errorf("%s: %s needs no right", op.Name, f.Name)
			}
		}
		for _, name := range op.Out {
			if response.ByName(protoreflect.Name(name)) == nil {
				t.Errorf("%s: %s is not in the .proto", op.Name, name)
			}
		}
		// No answer without a rule.
		if op.Door == DoorPeer && len(op.Accesses(valid(op, true))) == 0 {
			t.Errorf("%s: a peer may ask it without any right", op.Name)
		}
	}
	for _, name := range []string{"", "x", "ed25519", "ed25519.sign ", "ED25519.SIGN", "zzz.zzz"} {
		if _, ok := Lookup(name); ok {
			t.Errorf("%q was found", name)
		}
	}
}

// TestCheck holds each row against requests that fit it and requests that do
// not, one difference at a time.
func TestCheck(t *testing.T) {
	fields := new(Request).ProtoReflect().Descriptor().Fields()
	for i := range Operations {
		op := &Operations[i]
		t.Run(op.Name, func(t *testing.T) {
			for _, all := range []bool{false, true} {
				for door := DoorZone; door <= DoorPeer; door++ {
					req := valid(op, all || door == DoorPeer)
					if door != DoorZone && req.HashKey != nil {
						if refusal := Check(req, door); refusal == nil {
							t.Errorf("at the %s door, with a hash key", door)
						}
						req.HashKey = nil
					}
					if own := localFields(op); door == DoorPeer && len(own) > 0 {
						if refusal := Check(req, door); refusal == nil {
							t.Errorf("a peer says %q", own)
						}
						req = withoutLocal(op, req)
					}
					refusal := Check(req, door)
					if door <= op.Door && refusal != nil {
						t.Errorf("at the %s door, all fields %t: %v", door, all, refusal)
					}
					if door > op.Door && refusal.GetStatus() != Status_UNSUPPORTED {
						t.Errorf("at the %s door: %v", door, refusal)
					}
				}
			}
			invalid := func(what, field string, req *Request) {
				t.Helper()
				if refusal := Check(req, DoorZone); refusal.GetStatus() != Status_INVALID || refusal.Field != field {
					t.Errorf("%s: %v", what, refusal)
				}
			}
			for n := range fields.Len() {
				d := fields.Get(n)
				name := string(d.Name())
				req := valid(op, true)
				takes := slices.IndexFunc(op.In, func(f Field) bool { return f.Name == name })
				switch {
				case slices.Contains([]string{"id", "operation", "timeout_ms", "to"}, name):
				case name == "asker" && op.brings(), name == "left" && op.Changes: // see TestAsker
				case takes < 0:
					set(req, &Field{Name: name})
					invalid("with "+name, name, req)
				case op.In[takes].Required:
					req.ProtoReflect().Clear(d)
					invalid("without "+name, name, req)
				}
			}
			for _, n := range []int{0, 15, 17} {
				req := valid(op, false)
				req.Id = make([]byte, n)
				invalid(fmt.Sprintf("an id of %d bytes", n), "id", req)
			}
		})
	}
}

// TestDurable: what the node adds to a request it alone can add.
func TestDurable(t *testing.T) {
	req := request("hello")
	b, err := Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	told := new(Request)
	if err := Unmarshal(AppendDurable(b, 1<<40), told); err != nil || told.Durable != 1<<40 {
		t.Fatalf("%v became %v: %v", req, told, err)
	}
	for door := DoorZone; door <= DoorPeer; door++ {
		if r := Check(told, door); r == nil || r.Status != Status_INVALID || r.Field != "durable" {
			t.Errorf("at the %s door: %v", door, r)
		}
		step := &Request{Id: NewID(), Operation: "pipeline.run", Steps: []*Request{told}}
		if r := Check(step, door); r == nil || r.Status != Status_INVALID {
			t.Errorf("in a step, at the %s door: %v", door, r)
		}
	}
	told.Durable = 0
	if !proto.Equal(told, req) {
		t.Errorf("%v became %v", req, told)
	}
}

// localFields are those of op that a peer may not set.
func localFields(op *Operation) (names []string) {
	for _, f := range op.In {
		if f.Local {
			names = append(names, f.Name)
		}
	}
	return names
}

// withoutLocal is req without them.
func withoutLocal(op *Operation, req *Request) *Request {
	m := req.ProtoReflect()
	for _, name := range localFields(op) {
		m.Clear(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
	}
	return req
}

// TestAsker: only the node says who asks, where something sealed comes, and what he has
// left, where something changes.
func TestAsker(t *testing.T) {
	for i := range Operations {
		op := &Operations[i]
		for name, set := range map[string]func(*Request){"asker": func(r *Request) { r.Asker = 1 }, "left": func(r *Request) { r.Left = new(Usage) }} {
			takes := name == "asker" && op.brings() || name == "left" && op.Changes
			req := valid(op, true)
			set(req)
			if refusal := Check(req, DoorZone); takes != (refusal == nil) {
				t.Errorf("%s with %s, at the zone's door: %v", op.Name, name, refusal)
			}
			req.HashKey = nil
			for door := DoorLocal; door <= op.Door; door++ {
				if refusal := Check(req, door); refusal.GetStatus() != Status_INVALID {
					t.Errorf("%s with %s, at the %s door: %v", op.Name, name, door, refusal)
				}
				if op.Name == "pipeline.run" {
					whole := valid(op, true)
					set(whole.Steps[0])
					if refusal := Check(whole, door); refusal.GetStatus() != Status_INVALID {
						t.Errorf("%s in a step, at the %s door: %v", name, door, refusal)
					}
				}
			}
		}
	}
}

// TestCheckTo: a request for a peer is one that the peer would take, and a peer
// hands none on.
func TestCheckTo(t *testing.T) {
	for i := range Operations {
		op := &Operations[i]
		req := withoutLocal(op, valid(op, true))
		req.To = "b"
		if refusal := Check(req, DoorPeer); refusal.GetStatus() != Status_INVALID || refusal.Field != "to" {
			t.Errorf("%s, from a peer: %v", op.Name, refusal)
		}
		if refusal := Check(req, DoorLocal); (refusal == nil) != (op.Door == DoorPeer) {
			t.Errorf("%s, from here: %v", op.Name, refusal)
		}
	}
}

func TestCheckWithin(t *testing.T) {
	c := &Location{Client: []byte("c")}
	many := make([]*Location, MaxPage+1)
	for i := range many {
		many[i] = c
	}
	for name, tt := range map[string]struct {
		within []*Location
		ok     bool
	}{
		"clients":                {[]*Location{c, {Client: []byte("d")}}, true},
		"as many as may be":      {many[1:], true},
		"too many":               {many, false},
		"everything":             {[]*Location{{}}, false},
		"a vault":                {[]*Location{{Client: []byte("c"), Vault: []byte("v")}}, false},
		"a segment that is long": {[]*Location{{Client: make([]byte, MaxSegment+1)}}, false},
	} {
		req := &Request{Id: NewID(), Operation: "node.unlock", Secret: make([]byte, SealOverhead), Within: tt.within}
		refusal := Check(req, DoorLocal)
		if (refusal == nil) != tt.ok || refusal != nil && refusal.Field != "within" {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}

func TestCheckReach(t *testing.T) {
	path := func(segments ...*Segment) []*Reach { return []*Reach{{Path: segments}} }
	is := &Segment{Is: []byte("c")}
	n := uint64(7)
	for name, tt := range map[string]struct {
		reach []*Reach
		ok    bool
	}{
		"everything":             {path(), true},
		"all of a record":        {path(is, &Segment{Pieces: [][]byte{nil, []byte("x"), nil}}, &Segment{Version: &n}), true},
		"any":                    {path(&Segment{}, &Segment{}, &Segment{Versions: true}), true},
		"as many as may be":      {make([]*Reach, MaxPage), true},
		"too many":               {make([]*Reach, MaxPage+1), false},
		"too deep":               {path(is, is, is, is), false},
		"a version of a client":  {path(&Segment{Version: &n}), false},
		"versions of a vault":    {path(is, &Segment{Versions: true}), false},
		"one piece":              {path(&Segment{Pieces: [][]byte{{1}}}), false},
		"two conditions":         {path(&Segment{Is: []byte("c"), Pieces: [][]byte{{1}, {2}}}), false},
		"a segment that is long": {path(&Segment{Is: make([]byte, MaxSegment+1)}), false},
		"pieces that are long":   {path(&Segment{Pieces: [][]byte{make([]byte, MaxSegment), {1}}}), false},
		"no segment":             {path(nil), false},
	} {
		for field, req := range map[string]*Request{"reach": {Reach: tt.reach}, "except": {Except: tt.reach}} {
			req.Id, req.Operation = NewID(), "record.list"
			refusal := Check(req, DoorLocal)
			if (refusal == nil) != tt.ok || refusal != nil && refusal.Field != field {
				t.Errorf("%s: %v", name, refusal)
			}
		}
	}
}

func TestCheckLocation(t *testing.T) {
	id := make([]byte, IDSize)
	seg := func(n int) []byte { return bytes.Repeat([]byte{'s'}, n) }
	tests := []struct {
		name  string
		loc   *Location
		local bool // at the local door
		peer  bool
	}{
		{"a record", &Location{Client: seg(1), Vault: seg(1), Record: seg(1)}, true, true},
		{"a version", &Location{Client: seg(1), Vault: seg(1), Version: version(0)}, true, true},
		{"the head", &Location{Client: seg(1), Vault: seg(1), Head: true}, true, true},
		{"long segments", &Location{Client: seg(MaxSegment), Vault: seg(MaxSegment), Record: seg(1)}, true, true},
		{"a client that is too long", &Location{Client: seg(MaxSegment + 1), Vault: seg(1), Record: seg(1)}, false, false},
		{"a record that is too long", &Location{Client: seg(1), Vault: seg(1), Record: seg(MaxSegment + 1)}, false, false},
		{"an empty client", &Location{Client: []byte{}, Vault: seg(1), Record: seg(1)}, false, false},
		{"an empty record", &Location{Client: seg(1), Vault: seg(1), Record: []byte{}}, false, false},
		{"nothing", &Location{}, false, false},
		{"a client", &Location{Client: seg(1)}, false, false},
		{"a vault", &Location{Client: seg(1), Vault: seg(1)}, false, false},
		{"no client", &Location{Vault: seg(1), Record: seg(1)}, false, false},
		{"no vault", &Location{Client: seg(1), Record: seg(1)}, false, false},
		{"a head without a vault", &Location{Client: seg(1), Head: true}, false, false},
		{"two records", &Location{Client: seg(1), Vault: seg(1), Record: seg(1), Version: version(1)}, false, false},
		{"a version and the head", &Location{Client: seg(1), Vault: seg(1), Version: version(1), Head: true}, false, false},
		{"a record and its id", &Location{Client: seg(1), Vault: seg(1), Record: seg(1), RecordId: id}, false, false},
		{"a client and its id", &Location{Client: seg(1), ClientId: id, Vault: seg(1), Record: seg(1)}, false, false},
		{"ids", &Location{ClientId: id, VaultId: id, RecordId: id}, true, false},
		{"one id", &Location{Client: seg(1), Vault: seg(1), RecordId: id}, true, false},
		{"a vault's id", &Location{Client: seg(1), VaultId: id, Record: seg(1)}, true, false},
		{"a short id", &Location{Client: seg(1), Vault: seg(1), RecordId: id[1:]}, false, false},
		{"dots and stars", &Location{Client: []byte(".."), Vault: []byte("."), Record: []byte("*/\x01")}, true, true}, // bytes, no more
	}
	for _, test := range tests {
		for door, want := range map[Door]bool{DoorLocal: test.local, DoorPeer: test.peer} {
			req := &Request{Id: NewID(), Operation: "key.public", Location: test.loc}
			refusal := Check(req, door)
			if (refusal == nil) != want {
				t.Errorf("%s, at the %s door: %v", test.name, door, refusal)
			}
			if refusal != nil && (refusal.Status != Status_INVALID || refusal.Field != "location" || strings.Contains(refusal.Detail, "sss")) {
				t.Errorf("%s, at the %s door: %v", test.name, door, refusal)
			}
		}
	}
}

func TestCheckValues(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"kind":   func(r *Request) { r.Operation, r.Kind = "key.generate", "rsa" },
		"secret": func(r *Request) { r.Operation, r.Kind, r.Secret = "key.import", Ed25519, make([]byte, SealOverhead-1) },
		"secret ": func(r *Request) {
			r.Operation, r.Kind, r.Secret = "key.import", Ed25519, make([]byte, SealOverhead+MaxSecret+1)
		},
		"after":     func(r *Request) { r.Operation, r.Location, r.After = "record.list", nil, make([]byte, maxCursor+1) },
		"limit":     func(r *Request) { r.Operation, r.Location, r.Limit = "record.list", nil, MaxPage+1 },
		"location":  func(r *Request) { r.Operation = "record.list" }, // a record is no prefix
		"location ": func(r *Request) { r.Operation, r.Location = "zone.key", nil },
	} {
		req := &Request{Id: NewID(), Location: &Location{Client: []byte("c"), Vault: []byte("v"), Record: []byte("r")}}
		change(req)
		if refusal := Check(req, DoorPeer); refusal.GetStatus() != Status_INVALID || refusal.Field != strings.TrimSpace(name) {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}

// TestErrors: each status has words and an error of its own.
func TestErrors(t *testing.T) {
	req := &Request{Id: NewID(), Operation: "key.generate"}
	words := map[string]bool{}
	for n, name := range Status_name {
		status := Status(n)
		if status == Status_STATUS_UNSPECIFIED || status == Status_OK {
			continue
		}
		resp := &Response{Status: status, Field: "kind", Detail: "words", RetryAfterMs: 1500}
		err := AsError(req, resp)
		if err == nil || meanings[status] == "" || words[meanings[status]] || !strings.HasPrefix(err.Error(), meanings[status]) {
			t.Errorf("%s: %v", name, err)
		}
		words[meanings[status]] = true
		if !errors.Is(err, &Error{Status: status}) || errors.Is(err, &Error{Status: status + 1}) || errors.Is(err, &Error{Status: status, Operation: "x"}) {
			t.Errorf("%s: is not itself alone", name)
		}
		var e *Error
		if !errors.As(err, &e) || e.RetryAfter != 1500*time.Millisecond || e.Operation != req.Operation || !bytes.Equal(e.RequestID, req.Id) {
			t.Errorf("%s: %+v", name, e)
		}
		// What was a refusal before it was an error is the same refusal after.
		if back := Answer(req, nil, fmt.Errorf("on the way: %w", err)); !proto.Equal(back, resp) {
			t.Errorf("%s: came back as %v", name, back)
		}
	}
	if AsError(req, &Response{Status: Status_OK}) != nil {
		t.Error("OK is an error")
	}
	if err := AsError(req, &Response{}); err == nil {
		t.Error("no status is no error")
	}
	if got := Answer(req, nil, nil); got.Status != Status_INTERNAL {
		t.Errorf("no answer and no error: %v", got)
	}
	if got := Answer(req, nil, errors.New("inner words")); got.Status != Status_INTERNAL || got.Detail != "" {
		t.Errorf("an error of no kind: %v", got)
	}
}

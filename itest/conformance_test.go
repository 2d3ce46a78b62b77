package itest

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stronghold-go/stronghold/protocol"
)

// target is one way to a Stronghold.
type target struct {
	name    string
	handler protocol.Handler

	// door is where its requests come in. The engine admits all that a zone is
	// asked, but answers nothing that is the node's to answer.
	door protocol.Door

	unlock func(testing.TB)
	framed bool             // requests travel as frames, which have a limit
	engine protocol.Handler // at the zone's door: without the second step
	node   *peerNode        // else: the node that answers
}

// nodes are the operations that a node answers itself. They come in at the local
// door, and the engine, which is asked everything else, knows none of them.
var nodes = []string{"node.lock", "node.status", "node.unlock", "peer.add", "peer.list", "peer.ping", "peer.remove", "peer.rename",
	"policy.apply", "policy.can", "policy.show", "policy.test", "snapshot.save", "vault.collect"}

// admits says whether the target answers an operation with anything but UNSUPPORTED.
func (tg *target) admits(op *protocol.Operation) bool {
	return op.Door >= tg.door && !(tg.engine != nil && slices.Contains(nodes, op.Name))
}

// targets are the four ways to ask, each to a Stronghold of its own, which is locked.
var targets = map[string]func(testing.TB) *target{
	"engine": func(t testing.TB) *target { return engineTarget(newEngine(t)) },
	"pipe":   func(t testing.TB) *target { return engineTarget(overPipe(newPipe(t))) },
	"socket": func(t testing.TB) *target {
		n := newNode(t)
		serveSocket(t, n)
		tg := &target{handler: dialSocket(t, n.Home()), door: protocol.DoorLocal, framed: true, node: n}
		tg.unlock = func(t testing.TB) { unlock(t, tg.handler) }
		return tg
	},
	"peer": func(t testing.TB) *target {
		a, b := newPair(t)
		return &target{handler: a.node.Remote("b"), door: protocol.DoorPeer, framed: true, node: b,
			unlock: func(t testing.TB) { unlock(t, b.node.Local()) }}
	},
}

func engineTarget(e protocol.Handler) *target {
	return &target{handler: bothSteps(e), engine: e, door: protocol.DoorZone, unlock: func(t testing.TB) {
		t.Helper()
		resp, err := bring(t.Context(), e, []byte(passphrase), newSnapshot(t))
		if err != nil || resp.Status != protocol.Status_OK {
			t.Fatalf("opening a snapshot: %v, %v", resp.GetStatus(), err)
		}
	}}
}

func unlock(t testing.TB, h protocol.Handler) {
	t.Helper()
	if err := (protocol.Client{H: h}).Unlock(t.Context(), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
}

// TestConformance asks for every operation, in every way there is to ask.
func TestConformance(t *testing.T) {
	for _, name := range slices.AppendSeq(slices.Clone(nodes), maps.Keys(conformance)) {
		if _, ok := protocol.Lookup(name); !ok {
			t.Errorf("%s is spoken of here and does not exist", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := targets[name](t)
			tg.name = name
			s := &suite{target: tg, Client: protocol.Client{H: tg.handler}}
			t.Run("locked", s.testLocked)
			tg.unlock(t)
			t.Run("doors", s.testDoors)
			t.Run("fields", s.testFields)
			t.Run("ids", s.testIDs)
			t.Run("paths", s.testPaths)
			t.Run("versions", s.testVersions)
			t.Run("hints", s.testHints)
			t.Run("session", s.testSession)
			t.Run("callers", s.testCallers)
			t.Run("contexts", s.testContexts)
			t.Run("frames", s.testFrames)
			for i := range protocol.Operations {
				op := &protocol.Operations[i]
				t.Run(op.Name, func(t *testing.T) {
					test := conformance[op.Name]
					switch {
					case test == nil:
						t.Error("the operation has no conformance case")
					case tg.admits(op): // else testDoors has asked for it
						test(t, &suite{target: tg, Client: s.Client, client: op.Name})
					}
				})
			}
		})
	}
}

// suite is one subject's tests of a target. Its records are in a client of its own.
type suite struct {
	*target
	protocol.Client
	client string
}

// at is a record in the suite's client.
func (s *suite) at(vault, record string) *protocol.Location {
	return &protocol.Location{Client: []byte(s.client), Vault: []byte(vault), Record: []byte(record)}
}

// in is a vault in the suite's client.
func (s *suite) in(vault string) *protocol.Location {
	return &protocol.Location{Client: []byte(s.client), Vault: []byte(vault)}
}

// ask asks, and expects an answer.
func (s *suite) ask(t testing.TB, req *protocol.Request) *protocol.Response {
	t.Helper()
	if req.Id == nil {
		req.Id = protocol.NewID()
	}
	resp, err := s.handler.Handle(t.Context(), req)
	if err != nil {
		t.Fatalf("%s: %v", req.Operation, err)
	}
	return resp
}

// want asks, and expects an answer with this status.
func (s *suite) want(t testing.TB, status protocol.Status, req *protocol.Request) *protocol.Response {
	t.Helper()
	resp := s.ask(t, req)
	if resp.Status != status {
		t.Fatalf("%s: %v (%s %s), want %v", req.Operation, resp.Status, resp.Field, resp.Detail, status)
	}
	// A refusal has no result, and an answer has what its row says and no more.
	may := []string{"status", "field", "detail", "retry_after_ms"}
	if op, ok := protocol.Lookup(req.Operation); ok && status == protocol.Status_OK {
		may = append(slices.Clone(op.Out), "status")
	}
	resp.ProtoReflect().Range(func(d protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(may, string(d.Name())) {
			t.Errorf("%s: %v, with the field %s", req.Operation, status, d.Name())
		}
		return true
	})
	return resp
}

// wantInvalid asks, and expects to be told that this field is wrong.
func (s *suite) wantInvalid(t testing.TB, field string, req *protocol.Request) {
	t.Helper()
	if resp := s.want(t, protocol.Status_INVALID, req); resp.Field != field {
		t.Errorf("%s: the wrong field is %q (%s), want %q", req.Operation, resp.Field, resp.Detail, field)
	}
}

// sample is a well-formed request for any operation.
func (s *suite) sample(t testing.TB, op *protocol.Operation) *protocol.Request {
	t.Helper()
	req := &protocol.Request{Id: protocol.NewID(), Operation: op.Name}
	for i := range op.In {
		if (!op.In[i].Inner || s.door == protocol.DoorZone) && (!op.In[i].Local || s.door != protocol.DoorPeer) {
			s.set(t, req, &op.In[i])
		}
	}
	return req
}

// set gives a field a value that is within its limits.
func (s *suite) set(t testing.TB, req *protocol.Request, f *protocol.Field) {
	t.Helper()
	loc := &protocol.Location{Client: []byte("sample"), Vault: []byte("v")}
	switch f.Shape {
	case protocol.ShapeRecord:
		loc.Record = []byte("nobody made this one")
	case protocol.ShapeClient:
		loc.Vault = nil
	}
	m := req.ProtoReflect()
	d := m.Descriptor().Fields().ByName(protoreflect.Name(f.Name))
	if d == nil {
		t.Fatalf("%s takes %s, which is no field", req.Operation, f.Name)
	}
	if f.Name == "steps" {
		key, _ := protocol.Lookup("key.generate")
		req.Steps = []*protocol.Request{s.sample(t, key)}
		return
	}
	if d.IsList() && d.Message() != nil && d.Message().Name() == "Reach" {
		m.Mutable(d).List().Append(protoreflect.ValueOfMessage((&protocol.Reach{Path: []*protocol.Segment{{Is: loc.Client}}}).ProtoReflect()))
		return
	}
	if f.Name == "known" {
		req.Known = []*protocol.Mark{{Lineage: make([]byte, 16), Tag: make([]byte, 16)}}
		return
	}
	if d.IsList() {
		v := protoreflect.ValueOfString(protocol.FlagSign)
		if d.Kind() == protoreflect.MessageKind {
			v = protoreflect.ValueOfMessage(loc.ProtoReflect())
		}
		m.Mutable(d).List().Append(v)
		return
	}
	switch f.Name {
	case "location":
		req.Location = loc
	case "target":
		req.Target = loc
	case "kind":
		req.Kind = protocol.Ed25519
	case "secret":
		req.Secret = make([]byte, protocol.SealOverhead+32)
	case "after":
		if s.door != protocol.DoorPeer { // a peer is given his, and makes up none
			req.After = make([]byte, 72)
		}
	case "left":
		req.Left = new(protocol.Usage)
	case "passphrase":
		req.Passphrase = make([]byte, protocol.SealOverhead)
	default:
		switch d.Kind() {
		case protoreflect.BoolKind:
			m.Set(d, protoreflect.ValueOfBool(true))
		case protoreflect.StringKind:
			m.Set(d, protoreflect.ValueOfString("something"))
		case protoreflect.Uint32Kind:
			m.Set(d, protoreflect.ValueOfUint32(18))
		case protoreflect.Uint64Kind:
			m.Set(d, protoreflect.ValueOfUint64(1<<40))
		case protoreflect.BytesKind:
			n := map[string]int{"reply_key": 32, "device": 8, "hash_key": 32}[f.Name]
			m.Set(d, protoreflect.ValueOfBytes(bytes.Repeat([]byte{1}, max(n, 1))))
		default:
			t.Fatalf("no sample for the field %s: add one", f.Name)
		}
	}
}

// testLocked asks a Stronghold that is locked for everything a peer may ask.
func (s *suite) testLocked(t *testing.T) {
	s = &suite{target: s.target, Client: s.Client, client: "locked"}
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if op.Door != protocol.DoorPeer || op.Name == "zone.key" { // the key is what it is unlocked with
			continue
		}
		s.want(t, protocol.Status_LOCKED, s.sample(t, op))
		// What is malformed is malformed, locked or not.
		req := s.sample(t, op)
		req.Id = req.Id[:15]
		s.wantInvalid(t, "id", req)
	}
	if s.door == protocol.DoorPeer {
		return
	}
	// A wrong passphrase changes nothing: what comes next is that the right one is accepted.
	if raceDetector {
		return
	}
	if s.engine != nil {
		resp, err := bring(t.Context(), s.engine, []byte("wrong"), newSnapshot(t))
		if err != nil || resp.Status != protocol.Status_WRONG_KEY {
			t.Errorf("opening with a wrong passphrase: %v, %v", resp.GetStatus(), err)
		}
	} else {
		wantError(t, s.Unlock(t.Context(), []byte("wrong")), protocol.ErrWrongKey)
	}
	_, err := s.Sign(t.Context(), s.at("v", "r"), nil)
	wantError(t, err, protocol.ErrLocked)
}

// testDoors asks for what is not to be had here, and for what is to be had nowhere.
func (s *suite) testDoors(t *testing.T) {
	refused := 0
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if s.admits(op) {
			continue
		}
		refused++
		s.want(t, protocol.Status_UNSUPPORTED, s.sample(t, op))
	}
	if refused == 0 {
		t.Error("nothing was refused here")
	}
	for _, name := range []string{"", "key", "key.", "key.generate ", "KEY.GENERATE", "key.generate\x00", "ed25519.sign,key.public", "zone"} {
		s.want(t, protocol.Status_UNSUPPORTED, &protocol.Request{Operation: name, Location: s.at("v", "r")})
	}
	if s.door == protocol.DoorPeer {
		req := s.sample(t, &protocol.Operations[0])
		req.To = "a"
		s.wantInvalid(t, "to", req) // a peer does not ask others through this node
	}
}

// testFields leaves out what is required and adds what does not belong, for
// every operation that is to be had here.
func (s *suite) testFields(t *testing.T) {
	fields := (&protocol.Request{}).ProtoReflect().Descriptor().Fields()
	for i := range protocol.Operations {
		op := &protocol.Operations[i]
		if !s.admits(op) {
			continue
		}
		for _, id := range [][]byte{{}, make([]byte, 15), make([]byte, 17)} {
			req := s.sample(t, op)
			req.Id = id
			s.wantInvalid(t, "id", req)
		}
		for j := range fields.Len() {
			name := string(fields.Get(j).Name())
			k := slices.IndexFunc(op.In, func(f protocol.Field) bool { return f.Name == name })
			switch {
			case slices.Contains([]string{"id", "operation", "timeout_ms", "to"}, name):
			case (name == "asker" || name == "left") && s.door == protocol.DoorZone: // a zone believes its node
			case k < 0, op.In[k].Inner && s.door != protocol.DoorZone, op.In[k].Local && s.door == protocol.DoorPeer:
				req := s.sample(t, op)
				s.set(t, req, &protocol.Field{Name: name})
				if name == "after" {
					req.After = make([]byte, 72)
				}
				if name == "durable" {
					req.Durable = 1 << 60 // a zone takes what it has staged with any operation
				}
				s.wantInvalid(t, name, req)
			case op.In[k].Required:
				req := s.sample(t, op)
				req.ProtoReflect().Clear(fields.Get(j))
				s.wantInvalid(t, name, req)
			}
		}
	}
}

// wantError expects a refusal.
func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// conformance has a case for every operation. Some say what happens only
// together: then one of them has the case of both.
var conformance = map[string]func(*testing.T, *suite){
	"aes.unwrap":      testUnwrap,
	"aes.wrap":        testWrap,
	"bip39.generate":  testMnemonic,
	"bip39.recover":   testRecover,
	"client.create":   testClient,
	"client.list":     with("client.create"),
	"client.load":     testLoad,
	"client.purge":    with("client.create"),
	"client.unload":   with("client.load"),
	"ed25519.sign":    testSign,
	"key.generate":    testGenerate,
	"key.import":      testImport,
	"key.public":      testPublic,
	"node.lock":       testLock,
	"node.status":     testStatus,
	"node.unlock":     testUnlock,
	"peer.add":        testPeers,
	"peer.list":       with("peer.add"),
	"peer.ping":       testPing,
	"peer.remove":     with("peer.rename"),
	"peer.rename":     testRename,
	"pipeline.run":    testPipeline,
	"policy.apply":    testPolicy,
	"policy.can":      with("policy.apply"),
	"policy.show":     with("policy.apply"),
	"policy.test":     testPolicyTest,
	"record.copy":     testCopy,
	"record.disable":  testDisable,
	"record.enable":   with("record.disable"),
	"record.exists":   testExists,
	"record.list":     testList,
	"record.move":     testMove,
	"record.revoke":   testRevoke,
	"record.stat":     testStat,
	"record.type":     testRecordType,
	"record.write":    testWrite,
	"slip10.derive":   testDerive,
	"slip10.generate": testSeed,
	"slot.add":        testSlots,
	"slot.list":       with("slot.add"),
	"slot.remove":     with("slot.add"),
	"snapshot.export": testExport,
	"snapshot.import": testBringIn,
	"snapshot.rekey":  with("slot.add"),
	"snapshot.save":   testSave,
	"store.get":       with("store.put"),
	"store.list":      testStoreList,
	"store.put":       testStore,
	"store.remove":    with("store.put"),
	"store.swap":      testSwap,
	"vault.collect":   with("snapshot.save"),
	"vault.keep":      testKeep,
	"vault.stat":      with("vault.keep"),
	"zone.abort":      testSteps,
	"zone.adopt":      with("zone.fold"),
	"zone.carry":      with("zone.fold"),
	"zone.collect":    testCollect,
	"zone.commit":     with("zone.abort"),
	"zone.create":     testCreate,
	"zone.fold":       testFold,
	"zone.hash":       testHash,
	"zone.hashed":     with("zone.hash"),
	"zone.inspect":    testInspect,
	"zone.key":        testZoneKey,
	"zone.load":       with("client.load"),
	"zone.open":       testOpen,
	"zone.stage":      testStage,
}

// with says whose case is this one's too.
func with(name string) func(*testing.T, *suite) {
	return func(t *testing.T, _ *suite) {
		if _, ok := protocol.Lookup(name); !ok {
			t.Errorf("%s, whose case is this one's too, does not exist", name)
		}
	}
}

package itest

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/stronghold-go/stronghold/node/local"
	"github.com/stronghold-go/stronghold/protocol"
	"github.com/stronghold-go/stronghold/sandbox"
	"github.com/stronghold-go/stronghold/sandbox/memory"
	"github.com/stronghold-go/stronghold/snapshot"
)

// plaintext are the types that hold a secret, or could give one out.
var plaintext = []reflect.Type{
	reflect.TypeFor[memory.Secret](), reflect.TypeFor[memory.Arena](), reflect.TypeFor[protocol.SealKey](),
	reflect.TypeFor[hpke.PrivateKey](), reflect.TypeFor[ecdh.PrivateKey](), reflect.TypeFor[ed25519.PrivateKey](),
}

// TestNothingToldReachesASecret walks the types of what is sent, returned as an
// error, or logged: no field of any depth may be able to hold plaintext's owner.
func TestNothingToldReachesASecret(t *testing.T) {
	told := []reflect.Type{
		reflect.TypeFor[protocol.Error](), reflect.TypeFor[protocol.Access](), reflect.TypeFor[protocol.Operation](),
		reflect.TypeFor[sandbox.Status](), reflect.TypeFor[sandbox.EndedError](), reflect.TypeFor[sandbox.HandlerError](),
		reflect.TypeFor[sandbox.LayerError](), reflect.TypeFor[sandbox.SetupError](), reflect.TypeFor[local.HomeError](),
		reflect.TypeFor[local.Settings](), reflect.TypeFor[snapshot.VersionError](), reflect.TypeFor[snapshot.DamagedError](),
		reflect.TypeFor[snapshot.CostError](),
		// What a oneof may hold is behind an interface.
		reflect.TypeFor[protocol.Frame_Request](), reflect.TypeFor[protocol.Frame_Response](),
	}
	messages := protocol.File_stronghold_proto.Messages()
	for i := range messages.Len() {
		m, err := protoregistry.GlobalTypes.FindMessageByName(messages.Get(i).FullName())
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, reflect.TypeOf(m.Zero().Interface()))
	}
	if messages.Len() < 10 {
		t.Errorf("only %d messages", messages.Len())
	}
	for _, typ := range told {
		for _, way := range waysTo(typ, plaintext) {
			t.Error(way)
		}
	}
}

// TestReachFails has the walk above find what there is to find.
func TestReachFails(t *testing.T) {
	type deep struct{ secret *memory.Secret }
	type list struct{ L []map[string][2]*deep }
	type loop struct {
		Next *loop
		Key  protocol.SealKey
	}
	type embeds struct{ list }
	type keyed struct{ M map[deep]bool }
	type sends struct{ C chan *ecdh.PrivateKey }
	type lends struct {
		F func(int) (*memory.Arena, error)
	}
	type hidden struct{ K hpke.PrivateKey }
	type clean struct {
		B    []byte
		Next *clean
		Any  any
	}
	tests := []struct {
		in   any
		want string
	}{
		{memory.Secret{}, "memory.Secret"},
		{deep{secret: nil}, "itest.deep.secret"},
		{list{}, "itest.list.L.secret"},
		{&loop{}, "itest.loop.Key"},
		{embeds{list: list{}}, "itest.embeds.list.L.secret"},
		{keyed{}, "itest.keyed.M.secret"},
		{sends{}, "itest.sends.C"},
		{lends{}, "itest.lends.F"},
		{hidden{}, "itest.hidden.K"},
		{clean{}, ""},
	}
	for _, tt := range tests {
		ways := waysTo(reflect.TypeOf(tt.in), plaintext)
		if tt.want == "" && len(ways) > 0 || tt.want != "" && (len(ways) != 1 || !strings.HasPrefix(ways[0], tt.want+" ") && ways[0] != tt.want) {
			t.Errorf("%T: found %q, want %q", tt.in, ways, tt.want)
		}
	}
}

// waysTo walks from a type, into unexported fields too, and returns the way to
// each of the forbidden types. What an interface may hold it cannot know.
func waysTo(from reflect.Type, forbidden []reflect.Type) (ways []string) {
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type, way string)
	walk = func(t reflect.Type, way string) {
		for _, f := range forbidden {
			if t == f {
				if way != t.String() {
					way += " is a " + t.String()
				}
				ways = append(ways, way)
				return
			}
		}
		if seen[t] {
			return
		}
		seen[t] = true
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			walk(t.Elem(), way)
		case reflect.Map:
			walk(t.Key(), way)
			walk(t.Elem(), way)
		case reflect.Struct:
			for i := range t.NumField() {
				walk(t.Field(i).Type, way+"."+t.Field(i).Name)
			}
		case reflect.Func: // whoever has it can call it
			for i := range t.NumOut() {
				walk(t.Out(i), way)
			}
		}
	}
	for from.Kind() == reflect.Pointer {
		from = from.Elem()
	}
	walk(from, from.String())
	return ways
}

package protocol

import (
	"reflect"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// presence says for each field of a Request that a row may name whether it is
// set. It is what protobuf's own reflection says, at a tenth of the time: each
// request is checked by everyone who hands it on.
var presence = sync.OnceValue(func() []fieldPresence {
	return presenceOf(reflect.TypeFor[Request](), new(Request).ProtoReflect().Descriptor())
})

// everywhere are the fields that every operation has.
var everywhere = map[protoreflect.Name]bool{"id": true, "operation": true, "timeout_ms": true, "to": true}

type fieldPresence struct {
	name  string // in the .proto
	index int    // in the struct
	empty bool   // set means not empty, and not just not nil
}

// has says whether the field of req, a Request, is set.
func (f *fieldPresence) has(req reflect.Value) bool {
	v := req.Field(f.index)
	if f.empty {
		return v.Len() > 0
	}
	return !v.IsZero()
}

// presenceOf finds the struct's fields by what the generated code says of them.
func presenceOf(t reflect.Type, d protoreflect.MessageDescriptor) []fieldPresence {
	byName := map[string]int{}
	for i := range t.NumField() {
		for part := range strings.SplitSeq(t.Field(i).Tag.Get("protobuf"), ",") {
			if name, ok := strings.CutPrefix(part, "name="); ok {
				byName[name] = i
			}
		}
	}
	var all []fieldPresence
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if everywhere[f.Name()] {
			continue
		}
		index, ok := byName[string(f.Name())]
		if !ok || f.ContainingOneof() != nil && !f.HasOptionalKeyword() {
			panic("protocol: internal error: nobody has thought of how to look at " + string(f.FullName()))
		}
		kind := t.Field(index).Type.Kind()
		all = append(all, fieldPresence{string(f.Name()), index, kind == reflect.Slice && !f.HasPresence()})
	}
	return all
}

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stronghold-go/stronghold/protocol"
)

// setField reads a value as the kind of its field wants it, and puts it into req.
func (a *app) setField(ctx context.Context, req *protocol.Request, name, value string) error {
	m := req.ProtoReflect()
	d := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if d == nil {
		return usage(fmt.Sprintf("there is no field %q", name), "")
	}
	if d.IsList() {
		for one := range strings.SplitSeq(value, ",") {
			v := protoreflect.ValueOfString(one)
			if d.Kind() == protoreflect.MessageKind {
				loc, err := location(one)
				if err != nil {
					return err
				}
				v = protoreflect.ValueOfMessage(loc.ProtoReflect())
			}
			m.Mutable(d).List().Append(v)
		}
		return nil
	}
	if d.Kind() == protoreflect.MessageKind { // all of a request's are locations
		loc, err := location(value)
		if err == nil {
			m.Set(d, protoreflect.ValueOfMessage(loc.ProtoReflect()))
		}
		return err
	}
	// One field may be a policy; any other is smaller than a file may be.
	b := []byte(value)
	if value == "-" || strings.HasPrefix(value, "@") {
		var err error
		if b, err = a.read(ctx, name, value, protocol.MaxFrame); err != nil {
			return err
		}
		if d.Kind() != protoreflect.BytesKind && name != "text" {
			b = bytes.TrimSpace(b)
		}
	} else if d.Kind() == protoreflect.BytesKind {
		var err error
		if b, err = bytesOf(name, value); err != nil {
			return err
		}
	}
	v, err := fieldValue(d, b)
	if err == nil {
		m.Set(d, v)
	}
	return err
}

// bytesOf reads bytes from an argument.
func bytesOf(name, value string) ([]byte, error) {
	if text, ok := strings.CutPrefix(value, "hex:"); ok {
		b, err := hex.DecodeString(text)
		if err != nil {
			return nil, usage(name+": after hex: come hexadecimal digits, two for each byte", "")
		}
		return b, nil
	}
	if text, ok := strings.CutPrefix(value, "base64:"); ok {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, usage(name+": after base64: comes base64, with its padding", "")
		}
		return b, nil
	}
	return []byte(value), nil
}

// fieldValue is what text says, for a field that is no message.
func fieldValue(d protoreflect.FieldDescriptor, text []byte) (protoreflect.Value, error) {
	var v protoreflect.Value
	bad := func(what string) error { return usage(fmt.Sprintf("%s takes %s", d.Name(), what), "") }
	switch d.Kind() {
	case protoreflect.BytesKind:
		if text == nil {
			text = []byte{}
		}
		return protoreflect.ValueOfBytes(text), nil
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(text)), nil
	case protoreflect.BoolKind:
		switch string(text) {
		case "true":
			return protoreflect.ValueOfBool(true), nil
		case "false":
			return protoreflect.ValueOfBool(false), nil
		}
		return v, bad("true or false")
	case protoreflect.Uint32Kind:
		n, err := strconv.ParseUint(string(text), 10, 32)
		if err != nil {
			return v, bad("a number")
		}
		return protoreflect.ValueOfUint32(uint32(n)), nil
	case protoreflect.Uint64Kind:
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil {
			return v, bad("a number")
		}
		return protoreflect.ValueOfUint64(n), nil
	}
	panic("shnode: internal error: a request has a field of another kind")
}

// resultField is one field of an answer, as it is printed.
type resultField struct {
	name  string
	value any
}

// resultFields are what an operation gives: the fields of its row. opened takes
// the place of the sealed one, which nobody else could open.
func resultFields(op *protocol.Operation, resp *protocol.Response, opened []byte) (fields []resultField) {
	m := resp.ProtoReflect()
	for _, name := range op.Out {
		d := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		switch {
		case d == nil:
		case name == "sealed":
			if opened != nil {
				fields = append(fields, resultField{"secret", base64Text(opened)})
			}
		case m.Has(d), d.Kind() == protoreflect.BoolKind, d.IsList():
			fields = append(fields, resultField{name, plainValue(d, m.Get(d))})
		}
	}
	return fields
}

// printFields prints what an operation gives.
func (a *app) printFields(op *protocol.Operation, resp *protocol.Response, opened []byte) error {
	fields := resultFields(op, resp, opened)
	if a.json {
		object := map[string]any{}
		for _, f := range fields {
			object[f.name] = f.value
		}
		return a.printJSON(object)
	}
	if len(fields) == 0 && !slices.Contains(op.Out, "sealed") {
		a.talkf("done")
	}
	for _, f := range fields {
		if err := a.printField(f.name, f.value); err != nil {
			return err
		}
	}
	return nil
}

// printField prints name=value; a list is a line for each.
func (a *app) printField(name string, value any) error {
	values, ok := value.([]any)
	if !ok {
		values = []any{value}
	}
	for _, v := range values {
		if _, err := fmt.Fprintf(a.stdout, "%s=%s\n", name, plainText(v)); err != nil {
			return err
		}
	}
	return nil
}

// plainValue is a value of a response as JSON has it: bytes in base64,
// locations as text.
func plainValue(d protoreflect.FieldDescriptor, v protoreflect.Value) any {
	if d.IsList() {
		list := []any{}
		for i := range v.List().Len() {
			list = append(list, plainOne(d, v.List().Get(i)))
		}
		return list
	}
	return plainOne(d, v)
}

func plainOne(d protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch d.Kind() {
	case protoreflect.BytesKind:
		return base64Text(v.Bytes())
	case protoreflect.EnumKind:
		return int(v.Enum())
	case protoreflect.MessageKind:
		if l, ok := v.Message().Interface().(*protocol.Location); ok {
			return l.Text()
		}
		object := map[string]any{}
		v.Message().Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			object[string(d.Name())] = plainValue(d, v)
			return true
		})
		return object
	}
	return v.Interface()
}

// plainText is a value on a line of its own: text as it is where that can be
// shown, all else as JSON.
func plainText(v any) string {
	if s, ok := v.(string); ok {
		if printable(s) == s {
			return s
		}
		return strconv.Quote(s)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("shnode: internal error: " + err.Error())
	}
	return strings.TrimSpace(b.String())
}

// takesField says whether an operation has a field of this name.
func takesField(op *protocol.Operation, name string) bool {
	return slices.ContainsFunc(op.In, func(f protocol.Field) bool { return f.Name == name })
}

package assertion

import (
	"encoding/json"
	"fmt"
	"math"
)

// MarshalJSON writes {"type":"Number","value":96.7}. A number that is not
// finite, and the zero value, have no JSON form.
func (v ObjectValue) MarshalJSON() ([]byte, error) {
	if err := v.validateForJSON(); err != nil {
		return nil, err
	}
	value, err := v.jsonValue()
	if err != nil {
		return nil, fmt.Errorf("encode the object: %w", err)
	}
	b := make([]byte, 0, len(value)+32)
	b = append(b, `{"type":"`...)
	b = append(b, v.kind.String()...)
	b = append(b, `","value":`...)
	b = append(b, value...)
	return append(b, '}'), nil
}

func (v ObjectValue) validateForJSON() error {
	if v.kind < KindText || v.kind > KindReference {
		return &Error{Code: CodeObjectInvalid, Field: "object", Detail: "no value",
			Fix: "give a Text, Number, Boolean or Reference"}
	}
	if f, ok := v.Number(); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return notFinite("object.value")
	}
	return nil
}

func (v ObjectValue) jsonValue() ([]byte, error) {
	switch v.kind {
	case KindNumber:
		return json.Marshal(math.Float64frombits(v.bits))
	case KindBoolean:
		return json.Marshal(v.bits == 1)
	}
	return json.Marshal(v.text)
}

// UnmarshalJSON reads {"type":"Number","value":96.7} and the short form
// {"Number":96.7}, and refuses anything else with an *Error. Texts are kept as
// they are; an assertion's Normalize brings them to NFC.
func (v *ObjectValue) UnmarshalJSON(b []byte) error {
	var decoded ObjectValue
	if err := decodeWhole(b, decoded.readJSON); err != nil {
		return err
	}
	*v = decoded
	return nil
}

// readJSON reads either form.
func (v *ObjectValue) readJSON(r *jsonReader) error {
	var long objectMembers
	members := 0
	err := r.object(func(name []byte) error {
		members++
		switch string(name) {
		case "type":
			return long.readType(r)
		case "value":
			return long.spanValue(r)
		}
		kind := kindNamed(string(name))
		if kind == 0 {
			return &Error{Code: CodeUnknownField, Field: string(name)[:min(len(name), MaxNameBytes)],
				Detail: "no field of an object", Fix: `send {"type":…,"value":…}`}
		}
		return inField(kind.String(), v.readValue(r, kind))
	})
	switch {
	case err != nil:
		return err
	case members == 1 && v.kind != 0:
		return nil
	case v.kind != 0:
		return &Error{Code: CodeObjectInvalid, Detail: "more than one value", Fix: `send {"type":…,"value":…}`}
	case long.kind == 0:
		return &Error{Code: CodeMissingField, Field: "type", Detail: "missing in an object", Fix: "use Text, Number, Boolean or Reference"}
	case long.value == nil:
		return &Error{Code: CodeMissingField, Field: "value", Detail: "missing in an object", Fix: "send it"}
	}
	return inField("value", v.readValue(&jsonReader{b: long.value}, long.kind))
}

// objectMembers are the members of the long form. They may come in any order,
// so the value is only marked off, and read once the type is known.
type objectMembers struct {
	kind  ObjectKind
	value []byte
}

func (m *objectMembers) readType(r *jsonReader) error {
	if m.kind != 0 {
		return &Error{Code: CodeDuplicateField, Field: "type", Detail: "given twice", Fix: "send it once"}
	}
	s, err := r.str()
	if err != nil {
		return inField("type", err)
	}
	if m.kind = kindNamed(string(s)); m.kind == 0 {
		return &Error{Code: CodeObjectInvalid, Field: "type", Detail: quoted(string(s)) + " is no type of an object",
			Fix: "use Text, Number, Boolean or Reference"}
	}
	return nil
}

func (m *objectMembers) spanValue(r *jsonReader) error {
	if m.value != nil {
		return &Error{Code: CodeDuplicateField, Field: "value", Detail: "given twice", Fix: "send it once"}
	}
	r.space()
	start := r.i
	if !r.skipNotFinite() {
		if err := r.skip(1); err != nil {
			return inField("value", err)
		}
	}
	m.value = r.b[start:r.i]
	return nil
}

func kindNamed(s string) ObjectKind {
	for kind := KindText; kind <= KindReference; kind++ {
		if kind.String() == s {
			return kind
		}
	}
	return 0
}

// readValue reads a value of a known kind; a value of another JSON type is the
// object's fault.
func (v *ObjectValue) readValue(r *jsonReader, kind ObjectKind) error {
	wanted := func(what string) error {
		return &Error{Code: CodeObjectInvalid, Detail: "a " + kind.String() + " must be a JSON " + what, Fix: "change type or value"}
	}
	first := r.peek()
	switch kind {
	case KindNumber:
		if !r.notFinite() && first != '-' && (first < '0' || first > '9') {
			return wanted("number")
		}
		f, err := r.float(64)
		*v = Number(f)
		return err
	case KindBoolean:
		isTrue := r.literal("true")
		if !isTrue && !r.literal("false") {
			return wanted("boolean")
		}
		*v = Boolean(isTrue)
		return nil
	}
	if first != '"' {
		return wanted("string")
	}
	s, err := r.str()
	*v = ObjectValue{kind: kind, text: string(s)}
	return err
}

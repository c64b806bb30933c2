package assertion

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// jsonField is one field of a JSON form: how to read its value, and whether
// the form must have it.
type jsonField struct {
	name     string
	required bool
	read     func(r *jsonReader) error
}

// fields reads an object of known fields: unknown, repeated and missing ones
// are refused, faults are named by their path. A null stands for an absent
// optional field. kind names the object in messages.
func (r *jsonReader) fields(kind string, fields []jsonField) error {
	var seen uint32
	err := r.object(func(name []byte) error {
		for i := range fields {
			field := &fields[i]
			if field.name != string(name) {
				continue
			}
			if seen&(1<<i) != 0 {
				return &Error{Code: CodeDuplicateField, Field: field.name, Detail: "given twice", Fix: "send it once"}
			}
			seen |= 1 << i
			if !field.required && r.null() {
				return nil
			}
			r.space()
			start := r.i
			return r.fieldFault(field.name, start, field.read(r))
		}
		return &Error{Code: CodeUnknownField, Field: string(name)[:min(len(name), MaxNameBytes)],
			Detail: "no field of " + kind, Fix: "remove it"}
	})
	if err != nil {
		return err
	}
	for i := range fields {
		if fields[i].required && seen&(1<<i) == 0 {
			return &Error{Code: CodeMissingField, Field: fields[i].name, Detail: "missing in " + kind, Fix: "send it"}
		}
	}
	return nil
}

// fieldFault names the field of an error. A value that is JSON, only not of
// the type wanted, is the field's fault and not the text's.
func (r *jsonReader) fieldFault(name string, start int, err error) error {
	var fault *Error
	if !errors.As(err, &fault) {
		return err
	}
	fault = fault.under(name)
	if fault.Code == CodeInvalidJSON {
		value := jsonReader{b: r.b, i: start}
		if value.skip(MaxMetadataDepth) == nil {
			fault.Code, fault.Fix = CodeInvalidField, "send the type that the field has"
		}
	}
	return fault
}

// inField puts an error below a field or an element.
func inField(name string, err error) error {
	var fault *Error
	if errors.As(err, &fault) {
		return fault.under(name)
	}
	return err
}

// decodeWhole reads one JSON text with read, bounded by MaxJSONBytes.
func decodeWhole(b []byte, read func(r *jsonReader) error) error {
	return decodeWithin(b, MaxJSONBytes, read)
}

func decodeWithin(b []byte, most int, read func(r *jsonReader) error) error {
	if len(b) > most {
		return &Error{Code: CodeTooLarge,
			Detail: fmt.Sprintf("%d bytes of JSON, more than %d", len(b), most), Fix: "send less"}
	}
	r := jsonReader{b: b}
	if err := read(&r); err != nil {
		return err
	}
	return r.end()
}

// CheckPlainJSON refuses what is not one JSON object as strict as those of this
// room: each of its names once and in lower case, nothing behind it. It is for
// bodies that encoding/json decodes, which takes names in any case and the last of
// several. The error is an *Error with the code invalid_json or too_large.
func CheckPlainJSON(b []byte) error {
	return decodeWhole(b, func(r *jsonReader) error {
		seen := map[string]bool{}
		return r.object(func(name []byte) error {
			if seen[string(name)] || !bytes.Equal(name, bytes.ToLower(name)) {
				return r.fault("the field %s is given twice, or not in lower case,", quoted(string(name)))
			}
			seen[string(name)] = true
			return r.skip(MaxMetadataDepth)
		})
	})
}

// DecodeJSON reads the JSON form of one assertion and normalises it. It is
// strict: unknown and repeated fields, wrong types, text after the value and
// texts that are not UTF-8 are refused; subject, predicate, object, confidence,
// source_hash and timestamp must be there; numbers that are not finite (NaN,
// 1e999) get the code number_not_finite. Absent signatures are left to Verify.
// Any error is an *Error. The result shares no memory with b. Call Validate,
// CheckTimestamp and Verify before trusting it.
func DecodeJSON(b []byte) (*Assertion, error) {
	a := &Assertion{SourceClass: Anecdotal}
	err := decodeWhole(b, func(r *jsonReader) error { return r.fields("an assertion", a.jsonFields()) })
	if err != nil {
		return nil, err
	}
	if err := a.Normalize(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Assertion) jsonFields() []jsonField {
	return []jsonField{
		{"subject", true, readString(&a.Subject)},
		{"predicate", true, readString(&a.Predicate)},
		{"object", true, a.Object.readJSON},
		{"confidence", true, readFloat(&a.Confidence)},
		{"source_class", false, readText(&a.SourceClass)},
		{"source_hash", true, readText(&a.SourceHash)},
		{"source_metadata", false, a.readMetadata},
		{"lifecycle", false, readText(&a.Lifecycle)},
		{"parent_hash", false, readOptionalHash(&a.ParentHash)},
		{"epoch", false, readOptionalHash(&a.Epoch)},
		{"visual_hash", false, a.readVisualHash},
		{"vector", false, a.readVector},
		{"derived_from", false, a.readDerivedFrom},
		{"timestamp", true, readUint(&a.Timestamp)},
		{"signatures", false, a.readSignatures},
	}
}

func readString(into *string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		s, err := r.str()
		*into = string(s)
		return err
	}
}

func readFloat(into *float64) func(*jsonReader) error {
	return func(r *jsonReader) (err error) {
		*into, err = r.float(64)
		return err
	}
}

func readBool(into *bool) func(*jsonReader) error {
	return func(r *jsonReader) error {
		switch {
		case r.literal("true"):
			*into = true
		case r.literal("false"):
			*into = false
		default:
			return r.fault("a boolean is wanted")
		}
		return nil
	}
}

func readUint(into *uint64) func(*jsonReader) error {
	return func(r *jsonReader) (err error) {
		*into, err = r.uint(64)
		return err
	}
}

// readText reads a string by a type's own text form.
func readText(into interface{ UnmarshalText([]byte) error }) func(*jsonReader) error {
	return func(r *jsonReader) error {
		s, err := r.str()
		if err != nil {
			return err
		}
		return into.UnmarshalText(s)
	}
}

func readOptionalHash(into **Hash) func(*jsonReader) error {
	return func(r *jsonReader) error {
		*into = new(Hash)
		return readText(*into)(r)
	}
}

func (a *Assertion) readVisualHash(r *jsonReader) error {
	a.VisualHash = new(VisualHash)
	return readText(a.VisualHash)(r)
}

func (a *Assertion) readMetadata(r *jsonReader) error {
	r.space()
	start := r.i
	if err := r.skip(MaxMetadataDepth); err != nil {
		return metadataFault(err)
	}
	a.SourceMetadata = append(json.RawMessage{}, r.b[start:r.i]...)
	return nil
}

func (a *Assertion) readVector(r *jsonReader) error {
	return r.array(func(i int) error {
		if i == MaxVectorLen {
			return &Error{Code: CodeVectorInvalid,
				Detail: fmt.Sprintf("more than %d components", MaxVectorLen), Fix: "use a shorter embedding"}
		}
		f, err := r.float(32)
		if err != nil {
			return inField(fmt.Sprintf("[%d]", i), err)
		}
		a.Vector = append(a.Vector, float32(f))
		return nil
	})
}

func (a *Assertion) readDerivedFrom(r *jsonReader) error {
	return r.array(func(i int) error {
		if i == MaxDerivedFrom {
			return &Error{Code: CodeDerivedFromInvalid,
				Detail: fmt.Sprintf("more than %d hashes", MaxDerivedFrom), Fix: "conclude in several steps, each a claim of its own"}
		}
		var h Hash
		if err := readText(&h)(r); err != nil {
			return inField(fmt.Sprintf("[%d]", i), err)
		}
		a.DerivedFrom = append(a.DerivedFrom, h)
		return nil
	})
}

func (a *Assertion) readSignatures(r *jsonReader) error {
	return r.array(func(i int) error {
		if i == MaxSignatures {
			return &Error{Code: CodeTooManySignatures,
				Detail: fmt.Sprintf("more than %d signatures", MaxSignatures), Fix: "send fewer co-signers"}
		}
		s := Signature{Version: SignatureV2}
		err := r.fields("a signature", []jsonField{
			{"agent_id", true, readText(&s.AgentID)},
			{"signature", true, readText(&s.Signature)},
			{"timestamp", false, readUint(&s.Timestamp)},
			{"version", false, s.readVersion},
		})
		if err != nil {
			return inField(fmt.Sprintf("[%d]", i), err)
		}
		a.Signatures = append(a.Signatures, s)
		return nil
	})
}

func (s *Signature) readVersion(r *jsonReader) error {
	n, err := r.uint(8)
	s.Version = uint8(n)
	return err
}

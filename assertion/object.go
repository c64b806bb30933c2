package assertion

import (
	"fmt"
	"math"
	"strconv"

	"github.com/zeebo/blake3"
)

// ObjectKind is the type of an object value; its number is part of the content.
type ObjectKind uint8

// The kinds.
const (
	KindText ObjectKind = 1 + iota
	KindNumber
	KindBoolean
	KindReference
)

func (k ObjectKind) String() string {
	switch k {
	case KindText:
		return "Text"
	case KindNumber:
		return "Number"
	case KindBoolean:
		return "Boolean"
	case KindReference:
		return "Reference"
	}
	return fmt.Sprintf("ObjectKind(%d)", uint8(k))
}

// ObjectValue is what a claim says of its subject and predicate: a text, a
// finite number, a boolean, or a reference to an entity. Two values are the
// same answer exactly if they are ==; the zero value is no value. It may be a
// map key.
type ObjectValue struct {
	kind ObjectKind
	bits uint64 // a Number's IEEE 754 bits, or 1 for true; bits keep == total
	text string // a Text, or a Reference's entity
}

// Text makes a text value. It must be valid UTF-8 without NUL; an assertion's
// Normalize brings it to NFC.
func Text(s string) ObjectValue { return ObjectValue{kind: KindText, text: s} }

// Number makes a number value; negative zero becomes zero. A value that is not
// finite is refused by Validate.
func Number(f float64) ObjectValue {
	if f == 0 {
		f = 0 // drops the sign of negative zero
	}
	return ObjectValue{kind: KindNumber, bits: math.Float64bits(f)}
}

// Boolean makes a boolean value.
func Boolean(b bool) ObjectValue {
	v := ObjectValue{kind: KindBoolean}
	if b {
		v.bits = 1
	}
	return v
}

// Reference makes a reference to an entity, which is named by the rules of a
// subject.
func Reference(entity string) ObjectValue { return ObjectValue{kind: KindReference, text: entity} }

// Kind returns the type, 0 for the zero value.
func (v ObjectValue) Kind() ObjectKind { return v.kind }

// IsZero reports whether v is the zero value, which no claim may hold.
func (v ObjectValue) IsZero() bool { return v == ObjectValue{} }

// Equal reports whether v and o are the same answer, as == does.
func (v ObjectValue) Equal(o ObjectValue) bool { return v == o }

// Text returns the text, and false if v is no Text.
func (v ObjectValue) Text() (string, bool) { return v.text, v.kind == KindText }

// Number returns the number, and false if v is no Number.
func (v ObjectValue) Number() (float64, bool) {
	if v.kind != KindNumber {
		return 0, false
	}
	return math.Float64frombits(v.bits), true
}

// Boolean returns the boolean, and false as second result if v is none.
func (v ObjectValue) Boolean() (value, ok bool) {
	return v.kind == KindBoolean && v.bits == 1, v.kind == KindBoolean
}

// Reference returns the entity, and false if v is no Reference.
func (v ObjectValue) Reference() (string, bool) { return v.text, v.kind == KindReference }

// String returns the value for people: the text itself, the shortest decimal,
// true or false, the entity after an arrow.
func (v ObjectValue) String() string {
	switch v.kind {
	case KindText:
		return v.text
	case KindNumber:
		return strconv.FormatFloat(math.Float64frombits(v.bits), 'g', -1, 64)
	case KindBoolean:
		return strconv.FormatBool(v.bits == 1)
	case KindReference:
		return "→" + v.text
	}
	return "(no value)"
}

// Canonical returns the deterministic CBOR array [kind, value]. Equal values
// have equal bytes; the order of these bytes breaks the last ties between
// values. It assumes a normalised value.
func (v ObjectValue) Canonical() []byte {
	return v.appendCanonical(make([]byte, 0, 12+len(v.text)))
}

func (v ObjectValue) appendCanonical(b []byte) []byte {
	b = appendUint(appendArray(b, 2), uint64(v.kind))
	switch v.kind {
	case KindNumber:
		return appendFloat(b, math.Float64frombits(v.bits))
	case KindBoolean:
		return appendBool(b, v.bits == 1)
	}
	return appendText(b, v.text)
}

// Key returns BLAKE3(Canonical()), the identity of the value in tallies.
func (v ObjectValue) Key() Hash { return blake3.Sum256(v.Canonical()) }

// DecodeObject is the inverse of Canonical. Any other encoding of a value is
// refused with an *Error of the code record_invalid.
func DecodeObject(b []byte) (ObjectValue, error) {
	r := cborReader{b: b}
	v := r.object()
	if err := r.done(); err != nil {
		return ObjectValue{}, err
	}
	return v, nil
}

func (r *cborReader) object() ObjectValue {
	r.array(2, 2)
	switch kind := ObjectKind(r.small(uint8(KindReference))); kind {
	case KindText, KindReference:
		return ObjectValue{kind: kind, text: r.text()}
	case KindNumber:
		return Number(r.float())
	case KindBoolean:
		return Boolean(r.bool())
	}
	r.fail("an object of no known kind")
	return ObjectValue{}
}

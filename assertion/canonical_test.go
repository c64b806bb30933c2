package assertion

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// libraryContent is the content array as values of the general CBOR library,
// the independent encoder that ContentBytes is held to.
func libraryContent(a *Assertion) []any {
	optional := func(h *Hash) any {
		if h == nil {
			return nil
		}
		return h[:]
	}
	var metadata, visual, vector any
	if a.SourceMetadata != nil {
		metadata = string(a.SourceMetadata)
	}
	if a.VisualHash != nil {
		visual = a.VisualHash[:]
	}
	if len(a.Vector) > 0 {
		var b []byte
		for _, f := range a.Vector {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
		vector = b
	}
	derived := make([][]byte, len(a.DerivedFrom))
	for i := range a.DerivedFrom {
		derived[i] = a.DerivedFrom[i][:]
	}
	return []any{a.Subject, a.Predicate, libraryObject(a.Object), a.Confidence, uint64(a.SourceClass), a.SourceHash[:],
		metadata, uint64(a.Lifecycle), optional(a.ParentHash), optional(a.Epoch), visual, vector, derived, a.Timestamp}
}

func libraryObject(v ObjectValue) []any {
	switch v.Kind() {
	case KindNumber:
		f, _ := v.Number()
		return []any{uint64(KindNumber), f}
	case KindBoolean:
		t, _ := v.Boolean()
		return []any{uint64(KindBoolean), t}
	case KindReference:
		s, _ := v.Reference()
		return []any{uint64(KindReference), s}
	}
	s, _ := v.Text()
	return []any{uint64(v.Kind()), s}
}

// TestContentBytesByHand holds the encoder to bytes that were written by hand
// from RFC 8949, so that encoder and library cannot be wrong together.
func TestContentBytesByHand(t *testing.T) {
	parent := Hash(bytes.Repeat([]byte{0xaa}, 32))
	a := &Assertion{
		Subject: "Cafe\u0301", Predicate: "p", Object: Number(96.7), Confidence: 0.5, SourceClass: Clinical,
		SourceHash: Hash(bytes.Repeat([]byte{0x11}, 32)), SourceMetadata: []byte(` { "b" : 1.0, "a": "x" } `),
		Lifecycle: Approved, ParentHash: &parent, VisualHash: &VisualHash{1, 2, 3, 4, 5, 6, 7, 8},
		Vector: []float32{1, -2}, DerivedFrom: []Hash{Hash(bytes.Repeat([]byte{0x22}, 32))}, Timestamp: 1700000000,
	}
	if err := a.Normalize(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"8e",                      // array of 14
		"65" + "436166c3a9",       // text of 5 bytes: Caf, e with acute (NFC)
		"61" + "70",               // text of 1 byte: p
		"82" + "02",               // object: array of 2, kind Number
		"fb" + "40582ccccccccccd", // 96.7 needs a double
		"f9" + "3800",             // 0.5 fits in a half
		"01",                      // Clinical is tier 1
		"5820" + repeat("11", 32), // 32 bytes
		"6f" + hex.EncodeToString([]byte(`{"a":"x","b":1}`)), // text of 15 bytes
		"02",                             // Approved
		"5820" + repeat("aa", 32),        // parent
		"f6",                             // no epoch
		"48" + "0102030405060708",        // visual hash
		"48" + "0000803f" + "000000c0",   // 1.0 and -2.0, little-endian singles
		"81" + "5820" + repeat("22", 32), // one derivation
		"1a" + "6553f100",                // 1700000000 in 4 bytes
	}, "")
	if got := hex.EncodeToString(a.ContentBytes()); got != want {
		t.Errorf("content bytes\n got %s\nwant %s", got, want)
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// TestContentBytesMatchLibrary holds the hand-written encoder to the
// deterministic mode of a general CBOR library.
func TestContentBytesMatchLibrary(t *testing.T) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		a := genUnsigned().Draw(t, "assertion")
		want, err := mode.Marshal(libraryContent(a))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.ContentBytes(); !bytes.Equal(got, want) {
			t.Fatalf("content bytes\n got %x\nwant %x", got, want)
		}
		object, err := mode.Marshal(libraryObject(a.Object))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Object.Canonical(); !bytes.Equal(got, object) {
			t.Fatalf("object bytes\n got %x\nwant %x", got, object)
		}
	})
}

// TestHeadsAndFloatsMatchLibrary covers the widths that ordinary assertions do
// not reach, and every half-precision number.
func TestHeadsAndFloatsMatchLibrary(t *testing.T) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	check := func(value any, got []byte) {
		t.Helper()
		want, err := mode.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%v: got %x, want %x", value, got, want)
		}
	}
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		check(n, appendUint(nil, n))
		r := cborReader{b: appendUint(nil, n)}
		if got := r.uint(); got != n || r.done() != nil {
			t.Errorf("%d decodes as %d, %v", n, got, r.err)
		}
	}
	for half := 0; half <= math.MaxUint16; half++ {
		f := float16Value(uint16(half))
		if math.IsNaN(f) || math.IsInf(f, 0) || f == 0 {
			continue
		}
		check(f, appendFloat(nil, f))
		check(math.Nextafter(f, 2*f), appendFloat(nil, math.Nextafter(f, 2*f)))
	}
}

// TestObjectRoundTrip: Canonical and DecodeObject are inverse, and equal bytes
// mean equal values.
func TestObjectRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := genObject().Draw(t, "v"), genObject().Draw(t, "w")
		got, err := DecodeObject(v.Canonical())
		if err != nil || got != v {
			t.Fatalf("%v decodes as %v, %v", v, got, err)
		}
		if (v == w) != bytes.Equal(v.Canonical(), w.Canonical()) || (v == w) != (v.Key() == w.Key()) {
			t.Fatalf("%v and %v: equality of values, bytes and keys differ", v, w)
		}
	})
}

// TestDecodeRefusesOtherEncodings gives the decoders valid CBOR that is not the
// deterministic form.
func TestDecodeRefusesOtherEncodings(t *testing.T) {
	for name, encoded := range map[string]string{
		"empty":                      "",
		"kind 0":                     "820061" + "61",
		"kind 5":                     "820561" + "61",
		"kind in two bytes":          "82180161" + "61",
		"three elements":             "83016161f6",
		"indefinite array":           "9f016161ff",
		"indefinite text":            "82017f6161ff",
		"text length in two bytes":   "82017801" + "61",
		"text as bytes":              "82014161",
		"text is not UTF-8":          "820161ff",
		"text ends early":            "82016261",
		"text length overflows":      "82017bffffffffffffffff",
		"number as integer":          "820201",
		"number as wide single":      "8202fa3f800000",
		"number as wide double":      "8202fb3ff0000000000000",
		"number as double, a single": "8202fb3ff0000020000000",
		"negative zero":              "8202f98000",
		"NaN":                        "8202f97e00",
		"infinity":                   "8202f97c00",
		"NaN as double":              "8202fb7ff8000000000001",
		"boolean as integer":         "820301",
		"boolean as null":            "8203f6",
		"tagged":                     "c1820161" + "61",
		"trailing byte":              "8203f500",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if v, err := DecodeObject(b); codeOf(t, err) != CodeRecordInvalid {
				t.Errorf("decoded as %v, %v", v, err)
			}
		})
	}
}

// TestNormalizeIsIdempotent: a second Normalize changes nothing, and what was
// normalised is valid NFC and RFC 8785.
func TestNormalizeIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := genUnsigned().Draw(t, "assertion")
		twice := *once
		if err := twice.Normalize(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once, &twice); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestEqualContentEqualHash: the hash tells contents apart exactly as their
// fields do, and signatures do not enter it.
func TestEqualContentEqualHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genUnsigned().Draw(t, "a")
		b := *a
		b.Vector, b.DerivedFrom = append([]float32(nil), a.Vector...), append([]Hash(nil), a.DerivedFrom...)
		change := rapid.SampledFrom(contentChanges).Draw(t, "change")
		before := a.ContentHash()
		if b.ContentHash() != before {
			t.Fatal("a copy has another hash")
		}
		b.Sign(testKey(1), 1)
		if b.ContentHash() != before {
			t.Fatal("a signature changed the hash")
		}
		change.apply(&b)
		if b.ContentHash() == before {
			t.Fatalf("changing %s left the hash as it was", change.field)
		}
	})
}

type contentChange struct {
	field string
	apply func(*Assertion)
}

func (c contentChange) String() string { return c.field }

// contentChanges changes each content field once.
var contentChanges = []contentChange{
	{"subject", func(a *Assertion) { a.Subject += "x" }},
	{"predicate", func(a *Assertion) { a.Predicate += "x" }},
	{"subject against predicate", func(a *Assertion) { a.Subject, a.Predicate = a.Subject+a.Predicate, "" }},
	{"object", func(a *Assertion) { a.Object = Text(a.Object.String() + "x") }},
	{"object kind", func(a *Assertion) {
		if s, ok := a.Object.Text(); ok {
			a.Object = Reference(s)
		} else {
			a.Object = Text(a.Object.String())
		}
	}},
	{"confidence", func(a *Assertion) { a.Confidence = math.Nextafter(a.Confidence, 2) }},
	{"source_class", func(a *Assertion) { a.SourceClass = (a.SourceClass + 1) % NumTiers }},
	{"source_hash", func(a *Assertion) { a.SourceHash[31] ^= 1 }},
	{"source_metadata", func(a *Assertion) {
		if a.SourceMetadata == nil {
			a.SourceMetadata = []byte(`{}`)
		} else {
			a.SourceMetadata = nil
		}
	}},
	{"lifecycle", func(a *Assertion) { a.Lifecycle = (a.Lifecycle + 1) % (Rejected + 1) }},
	{"parent_hash", func(a *Assertion) { a.ParentHash = toggled(a.ParentHash) }},
	{"epoch", func(a *Assertion) { a.Epoch = toggled(a.Epoch) }},
	{"visual_hash", func(a *Assertion) {
		if a.VisualHash == nil {
			a.VisualHash = &VisualHash{}
		} else {
			a.VisualHash = nil
		}
	}},
	{"vector", func(a *Assertion) { a.Vector = append(a.Vector, 0) }},
	{"derived_from", func(a *Assertion) { a.DerivedFrom = append(a.DerivedFrom, Hash{}) }},
	{"timestamp", func(a *Assertion) { a.Timestamp++ }},
}

func toggled(h *Hash) *Hash {
	if h == nil {
		return &Hash{}
	}
	return nil
}

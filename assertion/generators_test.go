package assertion

import (
	"crypto/ed25519"
	"encoding/json"
	"math"

	"pgregory.net/rapid"
)

// testKey returns the n-th key of the tests.
func testKey(n byte) PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[31] = n, 7
	return ed25519.NewKeyFromSeed(seed)
}

func genHash() *rapid.Generator[Hash] {
	return rapid.Custom(func(t *rapid.T) Hash {
		return Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
	})
}

func genOptionalHash() *rapid.Generator[*Hash] { return rapid.Ptr(genHash(), true) }

// genName draws names that normalisation changes (combining marks, Hangul,
// compatibility signs) beside plain ones.
func genName() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune("aZ09 :*/-ée\u0301\u030a\u0327ÅA\u212b\u2126ﬁ\u1100\u1161가日本😀\u0344")), 1, 40, 300)
}

func genText() *rapid.Generator[string] {
	return rapid.OneOf(genName(), rapid.Just(""), rapid.SampledFrom([]string{"line\nbreak\ttab", `quote " and \ slash`, "<&>\u2028"}))
}

func genFloat() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }),
		rapid.Map(rapid.Float32().Filter(func(f float32) bool { return !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) }),
			func(f float32) float64 { return float64(f) }),
		rapid.Map(rapid.Uint16().Filter(func(h uint16) bool { return h&0x7c00 != 0x7c00 }), float16Value),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1.5, 65504, 65505, 5.960464477539063e-8,
			5e-324, math.MaxFloat64, math.MaxFloat32, math.SmallestNonzeroFloat32, 1e21, 1 << 53, -(1<<53 + 2)}),
	)
}

func genObject() *rapid.Generator[ObjectValue] {
	return rapid.OneOf(
		rapid.Map(genText(), Text), rapid.Map(genFloat(), Number),
		rapid.Map(rapid.Bool(), Boolean), rapid.Map(genName(), Reference))
}

func genUnit() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1, 0.5, 0.1}))
}

// genUnsigned draws a normalised, valid assertion without signatures.
func genUnsigned() *rapid.Generator[*Assertion] {
	return rapid.Custom(func(t *rapid.T) *Assertion {
		a := &Assertion{
			Subject:     genName().Draw(t, "subject"),
			Predicate:   genName().Draw(t, "predicate"),
			Object:      genObject().Draw(t, "object"),
			Confidence:  genUnit().Draw(t, "confidence"),
			SourceClass: rapid.SampledFrom(SourceClasses()).Draw(t, "class"),
			SourceHash:  genHash().Draw(t, "source"),
			Lifecycle:   Lifecycle(rapid.IntRange(0, int(Rejected)).Draw(t, "lifecycle")),
			ParentHash:  genOptionalHash().Draw(t, "parent"),
			Epoch:       genOptionalHash().Draw(t, "epoch"),
			Timestamp:   rapid.Uint64().Draw(t, "timestamp"),
			Vector:      rapid.SliceOfN(rapid.Float32Range(-1e30, 1e30), 0, 4).Draw(t, "vector"),
			DerivedFrom: rapid.SliceOfNDistinct(genHash(), 0, 3, func(h Hash) Hash { return h }).Draw(t, "derived"),
		}
		if rapid.Bool().Draw(t, "has metadata") {
			metadata, err := json.Marshal(map[string]any{
				genText().Draw(t, "key"): genFloat().Draw(t, "number"), "b": genText().Draw(t, "text"), "a": []any{nil, true}})
			if err != nil {
				t.Fatal(err)
			}
			a.SourceMetadata = metadata
		}
		if rapid.Bool().Draw(t, "has picture") {
			a.VisualHash = new(VisualHash)
			copy(a.VisualHash[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "visual"))
		}
		if err := a.Normalize(); err != nil {
			t.Fatal(err)
		}
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
		return a
	})
}

// genSigned draws a valid assertion with one to four signatures of version 2.
func genSigned() *rapid.Generator[*Assertion] {
	return rapid.Custom(func(t *rapid.T) *Assertion {
		a := genUnsigned().Draw(t, "assertion")
		for n := range rapid.IntRange(1, 4).Draw(t, "signers") {
			a.Sign(testKey(byte(n)), rapid.Uint64().Draw(t, "signed at"))
		}
		return a
	})
}

// codeOf returns the code of an *Error, "" for nil, and fails on another error.
func codeOf(t rapid.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	fault, ok := err.(*Error)
	if !ok {
		t.Fatalf("%v is a %T, not an *Error", err, err)
	}
	return fault.Code
}

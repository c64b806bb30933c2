package assertion

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every decoder takes input from strangers: none may panic, what is refused is
// refused with an *Error, what is accepted encodes again to the same thing.

func requireFault(t *testing.T, err error) {
	t.Helper()
	var fault *Error
	if !errors.As(err, &fault) || fault.Code == "" {
		t.Fatalf("refused with %v, a %T without code", err, err)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	full := benchAssertion(1)
	full.Sign(testKey(2), 3)
	full.ParentHash, full.Epoch, full.VisualHash = &Hash{1}, &Hash{2}, &VisualHash{3}
	full.Vector, full.DerivedFrom = []float32{1, -0.5, 1e-45}, []Hash{{4}, {5}}
	for _, object := range []ObjectValue{Text("e\u0301\n\"<"), Number(5e-324), Boolean(true), Reference("x")} {
		full.Object = object
		text, err := json.Marshal(full)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"subject":"\ud83d\ude00","predicate":"p","object":{"value":NaN,"type":"Number"},"confidence":1e-5,"timestamp":0}`))
	f.Add([]byte(`{"source_metadata":{"a":[1,2.50,1e21,{"b":null}],"\u0061":true}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := DecodeJSON(text)
		if err != nil {
			requireFault(t, err)
			return
		}
		if !json.Valid(text) {
			t.Fatal("accepted what is no JSON")
		}
		if err := a.Validate(); err != nil {
			requireFault(t, err)
			return
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		fromJSON, err := DecodeJSON(again)
		if err != nil {
			t.Fatalf("%v in %s", err, again)
		}
		if diff := cmp.Diff(a, fromJSON); diff != "" {
			t.Fatalf("JSON round trip: %s", diff)
		}
		record, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		// Validate leaves signatures to Verify, which may find a version that
		// no record holds.
		if a.checkSignatures(VerifyOptions{AcceptV1: true}) != nil {
			return
		}
		fromRecord, hash, err := DecodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, fromRecord); diff != "" || hash != a.ContentHash() {
			t.Fatalf("record round trip: %s", diff)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	for n := range byte(3) {
		a := benchAssertion(n)
		a.Epoch, a.Vector, a.DerivedFrom = &Hash{n}, []float32{float32(n)}, []Hash{{n}}
		record, err := a.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		a, hash, err := DecodeRecord(record)
		if err != nil {
			requireFault(t, err)
			return
		}
		again, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, record) || hash != a.ContentHash() {
			t.Fatalf("accepted\n%x, which encodes as\n%x", record, again)
		}
	})
}

func FuzzDecodeObject(f *testing.F) {
	for _, v := range []ObjectValue{Text("a"), Number(0.1), Number(1.5), Number(1e300), Boolean(true), Reference("b")} {
		f.Add(v.Canonical())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeObject(b)
		if err != nil {
			requireFault(t, err)
			return
		}
		if again := v.Canonical(); !bytes.Equal(again, b) {
			t.Fatalf("accepted %x, which encodes as %x", b, again)
		}
	})
}

func FuzzObjectJSON(f *testing.F) {
	for _, s := range []string{`{"type":"Number","value":96.7}`, `{"Text":"\ud83d\ude00"}`, `{"value":[1],"type":"Boolean"}`, `{"Number":-Infinity}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v, again ObjectValue
		if err := v.UnmarshalJSON(text); err != nil {
			requireFault(t, err)
			return
		}
		if !json.Valid(text) {
			t.Fatal("accepted what is no JSON")
		}
		written, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalJSON(written); err != nil || again != v {
			t.Fatalf("%s is read as %v, %v", written, again, err)
		}
	})
}

// fuzzSigned fuzzes both decoders of a kind: the record if the first byte is
// the record's version, else JSON.
func fuzzSigned[T signedContent](f *testing.F, seed T, empty func() T, decodeJSON func([]byte) (T, error)) {
	record, err := seed.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 && b[0] == recordVersion {
			value := empty()
			if err := value.UnmarshalBinary(b); err != nil {
				requireFault(t, err)
				return
			}
			requireSameRecord(t, value, b)
			return
		}
		value, err := decodeJSON(b)
		if err != nil {
			requireFault(t, err)
			return
		}
		if !json.Valid(b) {
			t.Fatal("accepted what is no JSON")
		}
		if value.Validate() != nil {
			return
		}
		record, err := value.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		fromRecord := empty()
		if err := fromRecord.UnmarshalBinary(record); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value, fromRecord); diff != "" {
			t.Fatal(diff)
		}
	})
}

func requireSameRecord(t *testing.T, value encoding.BinaryMarshaler, want []byte) {
	t.Helper()
	got, err := value.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("accepted\n%x, which encodes as\n%x", want, got)
	}
}

func FuzzVote(f *testing.F) {
	seed := &Vote{AssertionHash: Hash{1}, Weight: 0.25, Timestamp: 1700000000}
	seed.Sign(testKey(1))
	fuzzSigned(f, seed, func() *Vote { return new(Vote) }, DecodeVoteJSON)
}

func FuzzEpoch(f *testing.F) {
	seed := &Epoch{Name: "guideline 2026", Supersedes: &Hash{1}, SupersessionType: Refines, Timestamp: 1700000000}
	seed.Sign(testKey(1))
	fuzzSigned(f, seed, func() *Epoch { return new(Epoch) }, DecodeEpochJSON)
}

func FuzzSupersession(f *testing.F) {
	seed := &Supersession{Superseded: Hash{1}, By: &Hash{2}, Type: Replaces, Reason: "corrected table 2", Timestamp: 1700000000}
	seed.Sign(testKey(1))
	fuzzSigned(f, seed, func() *Supersession { return new(Supersession) }, DecodeSupersessionJSON)
}

func FuzzParseHash(f *testing.F) {
	f.Add(Hash{1, 0xab}.String())
	f.Add("AB")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		if err != nil {
			requireFault(t, err)
			return
		}
		if h.String() != s {
			t.Fatalf("%q is read as %s", s, h)
		}
	})
}

func FuzzDecodeAdmitted(f *testing.F) {
	for _, a := range []Admission{{}, {Authority: "ops-1", Quarantine: true, Findings: []Finding{{Code: "pattern", Rule: "casino"}}}, {Work: &Work{Nonce: 7, Timestamp: 9}, Tag: 3}} {
		raw, err := AppendEntry(nil, &Admitted{Entry: &Decision{Reviewer: "ops", Reason: "r"}, Admission: a})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw[1:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, entry, err := DecodeAdmitted(b)
		if err != nil {
			return
		}
		if again := append(appendAdmission(beginRecord(256), &a), entry...); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}

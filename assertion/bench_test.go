package assertion

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// benchAssertion is a claim of the size that ordinary clients send: a text of
// 256 bytes, a little metadata, one signer.
func benchAssertion(signer byte) *Assertion {
	a := &Assertion{
		Subject: "Semaglutide:Type2Diabetes", Predicate: "nausea_rate", Object: Text(strings.Repeat("x", 256)),
		Confidence: 0.9, SourceClass: Clinical, SourceHash: Hash{1}, Timestamp: 1700000000,
		SourceMetadata: json.RawMessage(`{"doi":"10.1056/NEJMoa2032183","trial":"NCT03548935"}`),
	}
	a.Sign(testKey(signer), 1700000001)
	return a
}

func BenchmarkContentBytes(b *testing.B) {
	a := benchAssertion(1)
	b.ReportAllocs()
	for b.Loop() {
		a.ContentBytes()
	}
}

// BenchmarkContentBytesLibrary is what the general library would cost.
func BenchmarkContentBytesLibrary(b *testing.B) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		b.Fatal(err)
	}
	a := benchAssertion(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mode.Marshal(libraryContent(a)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContentHash(b *testing.B) {
	a := benchAssertion(1)
	b.ReportAllocs()
	for b.Loop() {
		a.ContentHash()
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	record, err := benchAssertion(1).MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	text, err := json.Marshal(benchAssertion(1))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeJSON(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	a := benchAssertion(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	a := benchAssertion(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Verify(VerifyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyBatch reports the cost per assertion.
func BenchmarkVerifyBatch(b *testing.B) {
	for _, size := range []int{2, 4, 16, 64, 256} {
		b.Run("n="+strconv.Itoa(size), func(b *testing.B) {
			as := make([]*Assertion, size)
			for i := range as {
				as[i] = benchAssertion(byte(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range VerifyBatch(as, VerifyOptions{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/assertion")
		})
	}
}

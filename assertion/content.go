package assertion

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// contentContext separates assertion content from everything else that is
// hashed and signed. It is part of the format.
const contentContext = "stemedb 2026 assertion content v2"

// contentFields is the number of elements of the content array.
const contentFields = 14

// ContentBytes returns the deterministic CBOR array of the content fields, in
// the order that docs/signing.md documents. Signatures are not in it. It
// assumes an assertion that Normalize and Validate have accepted.
func (a *Assertion) ContentBytes() []byte {
	return a.appendContent(make([]byte, 0, a.contentSizeHint()))
}

// ContentHash returns the identity of the assertion: BLAKE3 in derive-key mode
// of ContentBytes.
func (a *Assertion) ContentHash() Hash {
	return hashContent(contentContext, a.ContentBytes())
}

func (a *Assertion) contentSizeHint() int {
	const fixedParts = 192 // heads, numbers and the fixed-size hashes
	return fixedParts + len(a.Subject) + len(a.Predicate) + len(a.Object.text) +
		len(a.SourceMetadata) + 4*len(a.Vector) + 34*len(a.DerivedFrom)
}

func (a *Assertion) appendContent(b []byte) []byte {
	b = appendArray(b, contentFields)
	b = appendText(b, a.Subject)
	b = appendText(b, a.Predicate)
	b = a.Object.appendCanonical(b)
	b = appendFloat(b, a.Confidence)
	b = appendUint(b, uint64(a.SourceClass))
	b = appendBytes(b, a.SourceHash[:])
	if a.SourceMetadata == nil {
		b = append(b, cborNull)
	} else {
		b = append(appendHead(b, cborText, uint64(len(a.SourceMetadata))), a.SourceMetadata...)
	}
	b = appendUint(b, uint64(a.Lifecycle))
	b = appendOptionalHash(b, a.ParentHash)
	b = appendOptionalHash(b, a.Epoch)
	if a.VisualHash == nil {
		b = append(b, cborNull)
	} else {
		b = appendBytes(b, a.VisualHash[:])
	}
	if len(a.Vector) == 0 {
		b = append(b, cborNull)
	} else {
		b = appendHead(b, cborBytes, 4*uint64(len(a.Vector)))
		for _, f := range a.Vector {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
	}
	b = appendArray(b, len(a.DerivedFrom))
	for i := range a.DerivedFrom {
		b = appendBytes(b, a.DerivedFrom[i][:])
	}
	return appendUint(b, a.Timestamp)
}

// decodeContent fills the content fields from their canonical bytes. It checks
// form and sizes, so that encoding gives back the same bytes; what Validate
// checks beyond that was checked before the content was ever hashed.
func (a *Assertion) decodeContent(content []byte) error {
	r := cborReader{b: content}
	r.array(contentFields, contentFields)
	a.Subject = r.text()
	a.Predicate = r.text()
	a.Object = r.object()
	a.Confidence = r.float()
	a.SourceClass = SourceClass(r.small(uint8(Anecdotal)))
	r.fixed(a.SourceHash[:])
	if !r.null() {
		a.SourceMetadata = append(json.RawMessage{}, r.textBytes()...)
	}
	a.Lifecycle = Lifecycle(r.small(uint8(Rejected)))
	a.ParentHash = r.optionalHash()
	a.Epoch = r.optionalHash()
	if !r.null() {
		a.VisualHash = new(VisualHash)
		r.fixed(a.VisualHash[:])
	}
	if !r.null() {
		a.Vector = r.vector()
	}
	if n := r.array(0, MaxDerivedFrom); n > 0 {
		a.DerivedFrom = make([]Hash, n)
		for i := range a.DerivedFrom {
			r.fixed(a.DerivedFrom[i][:])
		}
	}
	a.Timestamp = r.uint()
	return r.done()
}

func (r *cborReader) vector() []float32 {
	s := r.bytes()
	if r.err == nil && (len(s) == 0 || len(s)%4 != 0 || len(s) > 4*MaxVectorLen) {
		r.fail("a vector of %d bytes", len(s))
		return nil
	}
	vector := make([]float32, len(s)/4)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(s[4*i:]))
	}
	return vector
}

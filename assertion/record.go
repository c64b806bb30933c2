package assertion

import "fmt"

// recordVersion is the leading byte of every binary record of this room. A
// reader that does not know the byte refuses the record.
const recordVersion = 1

// recordHead is the space that a record needs beyond content and signatures,
// signatureRecord what one signature needs at most.
const (
	recordHead      = 16
	signatureRecord = 1 + 34 + 66 + 9 + 1
)

// MarshalBinary returns the record that the log and the index keep: the version
// byte, then the deterministic CBOR array [content, [[agent, signature,
// timestamp, version], …]] with the content as a byte string, so that a reader
// gets the hash without encoding again. It assumes a normalised, valid
// assertion; the error is always nil.
func (a *Assertion) MarshalBinary() ([]byte, error) {
	content := a.ContentBytes()
	b := make([]byte, 0, recordHead+len(content)+signatureRecord*len(a.Signatures))
	b = append(b, recordVersion)
	b = appendArray(b, 2)
	b = appendBytes(b, content)
	b = appendArray(b, len(a.Signatures))
	for i := range a.Signatures {
		s := &a.Signatures[i]
		b = appendArray(b, 4)
		b = appendBytes(b, s.AgentID[:])
		b = appendBytes(b, s.Signature[:])
		b = appendUint(b, s.Timestamp)
		b = appendUint(b, uint64(s.Version))
	}
	return b, nil
}

// UnmarshalBinary reads a record and replaces a with it. Only the exact bytes
// that MarshalBinary writes for the decoded assertion are accepted; the error
// is an *Error with the code record_invalid. The signatures are not verified.
// The result shares no memory with b.
func (a *Assertion) UnmarshalBinary(b []byte) error {
	var decoded Assertion
	if _, err := decoded.decodeRecord(b); err != nil {
		return err
	}
	*a = decoded
	return nil
}

// DecodeRecord reads a record as UnmarshalBinary does and also returns the
// content hash, computed from the content bytes inside the record.
func DecodeRecord(b []byte) (*Assertion, Hash, error) {
	a := new(Assertion)
	content, err := a.decodeRecord(b)
	if err != nil {
		return nil, Hash{}, err
	}
	return a, hashContent(contentContext, content), nil
}

// decodeRecord fills a zero assertion and returns the content bytes, a part of
// b.
func (a *Assertion) decodeRecord(b []byte) ([]byte, error) {
	r, err := openRecord(b)
	if err != nil {
		return nil, err
	}
	r.array(2, 2)
	content := r.bytes()
	if len(content) > MaxContentBytes {
		r.fail("%d bytes of content, more than %d", len(content), MaxContentBytes)
	}
	if n := r.array(0, MaxSignatures); n > 0 {
		a.Signatures = make([]Signature, n)
		for i := range a.Signatures {
			s := &a.Signatures[i]
			r.array(4, 4)
			r.fixed(s.AgentID[:])
			r.fixed(s.Signature[:])
			s.Timestamp = r.uint()
			s.Version = r.small(SignatureV2)
		}
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return content, a.decodeContent(content)
}

// openRecord checks the version byte and returns a reader of what follows.
func openRecord(b []byte) (*cborReader, error) {
	if len(b) == 0 {
		return nil, &Error{Code: CodeRecordInvalid, Detail: "an empty record"}
	}
	if b[0] != recordVersion {
		return nil, &Error{Code: CodeRecordInvalid,
			Detail: fmt.Sprintf("record version %d, this program knows %d", b[0], recordVersion),
			Fix:    "read it with a version of the program that knows it"}
	}
	return &cborReader{b: b, off: 1}, nil
}

// beginRecord begins a record whose body takes about size bytes.
func beginRecord(size int) []byte { return append(make([]byte, 0, recordHead+size), recordVersion) }

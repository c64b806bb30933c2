package assertion

import "fmt"

// supersessionContext separates supersessions from everything else that is
// hashed and signed.
const supersessionContext = "stemedb 2026 supersession content v1"

// Supersession takes one assertion out of ordinary answers, with a reason,
// mostly in favour of another.
type Supersession struct {
	// Superseded is the assertion that is left out from now on.
	Superseded Hash `json:"superseded"`
	// By is the assertion that replaces or refines it; a retraction has none.
	By   *Hash            `json:"by,omitempty"`
	Type SupersessionType `json:"type"`
	// Reason is for people: UTF-8 in NFC without NUL, at most MaxReasonBytes.
	Reason  string  `json:"reason"`
	AgentID AgentID `json:"agent_id"`
	// Timestamp is when the agent decided, unix seconds.
	Timestamp uint64         `json:"timestamp"`
	Signature SignatureBytes `json:"signature"`
}

// DecodeSupersessionJSON reads the JSON form as strictly as DecodeJSON and
// normalises it. superseded, type, agent_id and timestamp must be there.
func DecodeSupersessionJSON(b []byte) (*Supersession, error) {
	s := new(Supersession)
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("a supersession", []jsonField{
			{"superseded", true, readText(&s.Superseded)},
			{"by", false, readOptionalHash(&s.By)},
			{"type", true, readText(&s.Type)},
			{"reason", false, readString(&s.Reason)},
			{"agent_id", true, readText(&s.AgentID)},
			{"timestamp", true, readUint(&s.Timestamp)},
			{"signature", false, readText(&s.Signature)},
		})
	})
	if err != nil {
		return nil, err
	}
	return s, s.Normalize()
}

// Normalize brings the reason to NFC; it fails on a reason that is not UTF-8.
func (s *Supersession) Normalize() error {
	reason, err := normalText(s.Reason, CodeSupersessionInvalid, "reason")
	if err != nil {
		return err
	}
	s.Reason = reason
	return nil
}

// Validate holds a normalised supersession to the rules of its fields; the
// error is an *Error with the code supersession_invalid.
func (s *Supersession) Validate() error {
	fault := func(field, detail, fix string) error {
		return &Error{Code: CodeSupersessionInvalid, Field: field, Detail: detail, Fix: fix}
	}
	switch {
	case s.Type < Replaces || s.Type > Retracts:
		return fault("type", "missing or unknown", "use Replaces, Refines or Retracts")
	case s.Type == Retracts && s.By != nil:
		return fault("by", "given with a retraction", "use Replaces or Refines, or leave it out")
	case s.Type != Retracts && s.By == nil:
		return fault("by", "missing", "name the assertion that takes its place, or use Retracts")
	case s.By != nil && *s.By == s.Superseded:
		return fault("by", "the same as superseded", "name another assertion")
	case len(s.Reason) > MaxReasonBytes:
		return fault("reason", fmt.Sprintf("%d bytes in NFC, more than %d", len(s.Reason), MaxReasonBytes), "shorten it")
	}
	return checkText(s.Reason, CodeSupersessionInvalid, "reason")
}

// CheckTimestamp refuses a timestamp more than MaxFutureSeconds after now.
func (s *Supersession) CheckTimestamp(now uint64) error { return checkTimestamp(s.Timestamp, now) }

// ContentBytes returns the deterministic CBOR array [superseded, by or null,
// type, reason, agent, timestamp].
func (s *Supersession) ContentBytes() []byte {
	b := appendArray(make([]byte, 0, 128+len(s.Reason)), 6)
	b = appendBytes(b, s.Superseded[:])
	b = appendOptionalHash(b, s.By)
	b = appendUint(b, uint64(s.Type))
	b = appendText(b, s.Reason)
	b = appendBytes(b, s.AgentID[:])
	return appendUint(b, s.Timestamp)
}

// Hash returns the identity of the supersession.
func (s *Supersession) Hash() Hash {
	return hashContent(supersessionContext, s.ContentBytes())
}

// Sign makes key's owner the agent and signs. The supersession must be
// normalised.
func (s *Supersession) Sign(key PrivateKey) {
	s.AgentID = AgentOf(key)
	s.Signature = signHash(key, s.Hash())
}

// Verify checks the signature under the rules of Assertion.Verify; the error is
// an *Error with the code unsigned or signature_invalid.
func (s *Supersession) Verify() error { return verifyHash(&s.AgentID, s.Hash(), &s.Signature) }

// MarshalBinary returns the record; the error is always nil.
func (s *Supersession) MarshalBinary() ([]byte, error) {
	return marshalSigned(s.ContentBytes(), &s.Signature), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (s *Supersession) UnmarshalBinary(b []byte) error {
	var decoded Supersession
	r, err := openSigned(b, &decoded.Signature)
	if err != nil {
		return err
	}
	r.array(6, 6)
	r.fixed(decoded.Superseded[:])
	decoded.By = r.optionalHash()
	decoded.Type = SupersessionType(r.small(uint8(Retracts)))
	decoded.Reason = r.text()
	r.fixed(decoded.AgentID[:])
	decoded.Timestamp = r.uint()
	if err := r.done(); err != nil {
		return err
	}
	*s = decoded
	return nil
}

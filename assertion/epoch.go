package assertion

// epochContext separates epochs from everything else that is hashed and signed.
const epochContext = "stemedb 2026 epoch content v1"

// Epoch names a state of knowledge that claims may belong to, such as an
// edition of a guideline, and says which earlier one it supersedes. Its hash is
// what Assertion.Epoch holds.
type Epoch struct {
	// Name follows the rules of a subject.
	Name string `json:"name"`
	// Supersedes is the hash of an earlier epoch.
	Supersedes *Hash `json:"supersedes,omitempty"`
	// SupersessionType is there exactly if Supersedes is.
	SupersessionType SupersessionType `json:"supersession_type,omitzero"`
	AgentID          AgentID          `json:"agent_id"`
	// Timestamp is when the epoch was declared, unix seconds.
	Timestamp uint64         `json:"timestamp"`
	Signature SignatureBytes `json:"signature"`
}

// DecodeEpochJSON reads the JSON form as strictly as DecodeJSON and normalises
// it. name, agent_id and timestamp must be there.
func DecodeEpochJSON(b []byte) (*Epoch, error) {
	e := new(Epoch)
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("an epoch", []jsonField{
			{"name", true, readString(&e.Name)},
			{"supersedes", false, readOptionalHash(&e.Supersedes)},
			{"supersession_type", false, readText(&e.SupersessionType)},
			{"agent_id", true, readText(&e.AgentID)},
			{"timestamp", true, readUint(&e.Timestamp)},
			{"signature", false, readText(&e.Signature)},
		})
	})
	if err != nil {
		return nil, err
	}
	return e, e.Normalize()
}

// Normalize brings the name to NFC; it fails on a name that is not UTF-8.
func (e *Epoch) Normalize() error {
	name, err := normalText(e.Name, CodeEpochInvalid, "name")
	if err != nil {
		return err
	}
	e.Name = name
	return nil
}

// Validate holds a normalised epoch to the rules of its fields; the error is an
// *Error with the code epoch_invalid.
func (e *Epoch) Validate() error {
	if err := checkName(e.Name, CodeEpochInvalid, "name"); err != nil {
		return err
	}
	fault := func(detail, fix string) error {
		return &Error{Code: CodeEpochInvalid, Field: "supersession_type", Detail: detail, Fix: fix}
	}
	switch {
	case e.SupersessionType > Retracts:
		return fault("unknown", "use Replaces, Refines or Retracts")
	case e.Supersedes == nil && e.SupersessionType != 0:
		return fault("given without supersedes", "name the epoch that is superseded")
	case e.Supersedes != nil && e.SupersessionType == 0:
		return fault("missing beside supersedes", "use Replaces, Refines or Retracts")
	}
	return nil
}

// CheckTimestamp refuses a timestamp more than MaxFutureSeconds after now.
func (e *Epoch) CheckTimestamp(now uint64) error { return checkTimestamp(e.Timestamp, now) }

// ContentBytes returns the deterministic CBOR array [name, superseded epoch or
// null, type (0 for none), agent, timestamp].
func (e *Epoch) ContentBytes() []byte {
	b := appendArray(make([]byte, 0, 96+len(e.Name)), 5)
	b = appendText(b, e.Name)
	b = appendOptionalHash(b, e.Supersedes)
	b = appendUint(b, uint64(e.SupersessionType))
	b = appendBytes(b, e.AgentID[:])
	return appendUint(b, e.Timestamp)
}

// Hash returns the identity of the epoch.
func (e *Epoch) Hash() Hash { return hashContent(epochContext, e.ContentBytes()) }

// Sign makes key's owner the agent and signs. The epoch must be normalised.
func (e *Epoch) Sign(key PrivateKey) {
	e.AgentID = AgentOf(key)
	e.Signature = signHash(key, e.Hash())
}

// Verify checks the signature under the rules of Assertion.Verify; the error is
// an *Error with the code unsigned or signature_invalid.
func (e *Epoch) Verify() error { return verifyHash(&e.AgentID, e.Hash(), &e.Signature) }

// MarshalBinary returns the record; the error is always nil.
func (e *Epoch) MarshalBinary() ([]byte, error) {
	return marshalSigned(e.ContentBytes(), &e.Signature), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (e *Epoch) UnmarshalBinary(b []byte) error {
	var decoded Epoch
	r, err := openSigned(b, &decoded.Signature)
	if err != nil {
		return err
	}
	r.array(5, 5)
	decoded.Name = r.text()
	decoded.Supersedes = r.optionalHash()
	decoded.SupersessionType = SupersessionType(r.small(uint8(Retracts)))
	r.fixed(decoded.AgentID[:])
	decoded.Timestamp = r.uint()
	if err := r.done(); err != nil {
		return err
	}
	*e = decoded
	return nil
}

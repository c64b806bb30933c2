package assertion

// endorsementContext separates endorsements from everything else that is hashed
// and signed.
const endorsementContext = "stemedb 2026 endorsement content v1"

// Endorsement is an agent's word for another agent: an edge of the trust graph.
// The newest of an agent about another counts; one of weight 0 takes the word
// back.
type Endorsement struct {
	// AgentID is who endorses, and signs.
	AgentID AgentID `json:"agent_id"`
	// Endorsed is the other agent.
	Endorsed AgentID `json:"endorsed"`
	// Weight is 0 to 1.
	Weight float64 `json:"weight"`
	// Timestamp is when the word was given, unix seconds.
	Timestamp uint64         `json:"timestamp"`
	Signature SignatureBytes `json:"signature"`
}

// DecodeEndorsementJSON reads the JSON form as strictly as DecodeJSON and
// normalises it. All fields must be there but signature, whose absence Verify
// reports.
func DecodeEndorsementJSON(b []byte) (*Endorsement, error) {
	e := new(Endorsement)
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("an endorsement", []jsonField{
			{"agent_id", true, readText(&e.AgentID)},
			{"endorsed", true, readText(&e.Endorsed)},
			{"weight", true, readFloat(&e.Weight)},
			{"timestamp", true, readUint(&e.Timestamp)},
			{"signature", false, readText(&e.Signature)},
		})
	})
	if err != nil {
		return nil, err
	}
	return e, e.Normalize()
}

// Normalize brings negative zero to zero. It is idempotent and never fails.
func (e *Endorsement) Normalize() error {
	if e.Weight == 0 {
		e.Weight = 0 // drops the sign of negative zero
	}
	return nil
}

// Validate refuses a weight outside 0 to 1, an agent's word for itself, and
// agents that nobody owns, with an *Error of the code endorsement_invalid, or
// number_not_finite.
func (e *Endorsement) Validate() error {
	if e.AgentID == e.Endorsed {
		return &Error{Code: CodeEndorsementInvalid, Field: "endorsed", Detail: "an agent's word for itself", Fix: "endorse another agent"}
	}
	for _, party := range []struct {
		field string
		agent AgentID
	}{{"agent_id", e.AgentID}, {"endorsed", e.Endorsed}} {
		if !party.agent.Owned() {
			return &Error{Code: CodeEndorsementInvalid, Field: party.field,
				Detail: "no public key that anyone owns: not a point of the curve, or one of small order", Fix: "name an agent's Ed25519 public key"}
		}
	}
	return recode(checkUnit(e.Weight, "weight"), CodeConfidenceOutOfRange, CodeEndorsementInvalid)
}

// CheckTimestamp refuses a timestamp more than MaxFutureSeconds after now.
func (e *Endorsement) CheckTimestamp(now uint64) error { return checkTimestamp(e.Timestamp, now) }

// ContentBytes returns the deterministic CBOR array [agent, endorsed agent,
// weight, timestamp].
func (e *Endorsement) ContentBytes() []byte {
	b := appendArray(make([]byte, 0, 96), 4)
	b = appendBytes(b, e.AgentID[:])
	b = appendBytes(b, e.Endorsed[:])
	b = appendFloat(b, e.Weight)
	return appendUint(b, e.Timestamp)
}

// Hash returns the identity of the endorsement.
func (e *Endorsement) Hash() Hash { return hashContent(endorsementContext, e.ContentBytes()) }

// Sign makes key's owner the agent and signs. The endorsement must be
// normalised.
func (e *Endorsement) Sign(key PrivateKey) {
	e.AgentID = AgentOf(key)
	e.Signature = signHash(key, e.Hash())
}

// Verify checks the signature under the rules of Assertion.Verify; the error is
// an *Error with the code unsigned or signature_invalid.
func (e *Endorsement) Verify() error { return verifyHash(&e.AgentID, e.Hash(), &e.Signature) }

// MarshalBinary returns the record; the error is always nil.
func (e *Endorsement) MarshalBinary() ([]byte, error) {
	return marshalSigned(e.ContentBytes(), &e.Signature), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (e *Endorsement) UnmarshalBinary(b []byte) error {
	var decoded Endorsement
	r, err := openSigned(b, &decoded.Signature)
	if err != nil {
		return err
	}
	r.array(4, 4)
	r.fixed(decoded.AgentID[:])
	r.fixed(decoded.Endorsed[:])
	decoded.Weight = r.float()
	decoded.Timestamp = r.uint()
	if err := r.done(); err != nil {
		return err
	}
	*e = decoded
	return nil
}

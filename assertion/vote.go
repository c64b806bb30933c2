package assertion

// voteContext separates votes from everything else that is hashed and signed.
const voteContext = "stemedb 2026 vote content v1"

// Vote is one agent's weight on one assertion. The newest vote of an agent on
// an assertion counts.
type Vote struct {
	AssertionHash Hash    `json:"assertion_hash"`
	AgentID       AgentID `json:"agent_id"`
	// Weight is 0 to 1.
	Weight float64 `json:"weight"`
	// Timestamp is when the vote was cast, unix seconds.
	Timestamp uint64         `json:"timestamp"`
	Signature SignatureBytes `json:"signature"`
}

// DecodeVoteJSON reads the JSON form as strictly as DecodeJSON and normalises
// it. All fields must be there but signature, whose absence Verify reports.
func DecodeVoteJSON(b []byte) (*Vote, error) {
	v := new(Vote)
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("a vote", []jsonField{
			{"assertion_hash", true, readText(&v.AssertionHash)},
			{"agent_id", true, readText(&v.AgentID)},
			{"weight", true, readFloat(&v.Weight)},
			{"timestamp", true, readUint(&v.Timestamp)},
			{"signature", false, readText(&v.Signature)},
		})
	})
	if err != nil {
		return nil, err
	}
	return v, v.Normalize()
}

// Normalize brings negative zero to zero. It is idempotent and never fails.
func (v *Vote) Normalize() error {
	if v.Weight == 0 {
		v.Weight = 0 // drops the sign of negative zero
	}
	return nil
}

// Validate refuses a weight outside 0 to 1, with an *Error of the code
// vote_invalid, or number_not_finite.
func (v *Vote) Validate() error {
	return recode(checkUnit(v.Weight, "weight"), CodeConfidenceOutOfRange, CodeVoteInvalid)
}

// CheckTimestamp refuses a timestamp more than MaxFutureSeconds after now.
func (v *Vote) CheckTimestamp(now uint64) error { return checkTimestamp(v.Timestamp, now) }

// ContentBytes returns the deterministic CBOR array [assertion hash, agent,
// weight, timestamp].
func (v *Vote) ContentBytes() []byte {
	b := appendArray(make([]byte, 0, 96), 4)
	b = appendBytes(b, v.AssertionHash[:])
	b = appendBytes(b, v.AgentID[:])
	b = appendFloat(b, v.Weight)
	return appendUint(b, v.Timestamp)
}

// Hash returns the identity of the vote.
func (v *Vote) Hash() Hash { return hashContent(voteContext, v.ContentBytes()) }

// Sign makes key's owner the agent and signs. The vote must be normalised.
func (v *Vote) Sign(key PrivateKey) {
	v.AgentID = AgentOf(key)
	v.Signature = signHash(key, v.Hash())
}

// Verify checks the signature under the rules of Assertion.Verify; the error is
// an *Error with the code unsigned or signature_invalid.
func (v *Vote) Verify() error { return verifyHash(&v.AgentID, v.Hash(), &v.Signature) }

// MarshalBinary returns the record; the error is always nil.
func (v *Vote) MarshalBinary() ([]byte, error) {
	return marshalSigned(v.ContentBytes(), &v.Signature), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (v *Vote) UnmarshalBinary(b []byte) error {
	var decoded Vote
	r, err := openSigned(b, &decoded.Signature)
	if err != nil {
		return err
	}
	r.array(4, 4)
	r.fixed(decoded.AssertionHash[:])
	r.fixed(decoded.AgentID[:])
	decoded.Weight = r.float()
	decoded.Timestamp = r.uint()
	if err := r.done(); err != nil {
		return err
	}
	*v = decoded
	return nil
}

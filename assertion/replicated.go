package assertion

import (
	"bytes"
	"fmt"
	"slices"
)

// Seeds are the agents that trust in the trust graph flows from. The newest set
// counts.
type Seeds struct {
	// Agents are sorted, each once; at most MaxSeeds. None means that trust
	// flows from every agent alike.
	Agents []AgentID `json:"agents"`
}

// DecodeSeedsJSON reads the JSON form as strictly as DecodeJSON and normalises
// it.
func DecodeSeedsJSON(b []byte) (*Seeds, error) {
	s := &Seeds{Agents: []AgentID{}}
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("seeds", []jsonField{{"agents", true, func(r *jsonReader) error {
			return r.array(func(i int) error {
				var agent AgentID
				if err := readText(&agent)(r); err != nil {
					return inField(fmt.Sprintf("[%d]", i), err)
				}
				s.Agents = append(s.Agents, agent)
				return nil
			})
		}}})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(s.Agents, func(a, b AgentID) int { return bytes.Compare(a[:], b[:]) })
	s.Agents = slices.Compact(s.Agents)
	return s, nil
}

// Validate refuses more than MaxSeeds agents, and agents that nobody owns, with
// an *Error of the code invalid_field.
func (s *Seeds) Validate() error {
	if len(s.Agents) > MaxSeeds {
		return &Error{Code: CodeInvalidField, Field: "agents",
			Detail: fmt.Sprintf("%d agents, more than %d", len(s.Agents), MaxSeeds), Fix: "name fewer"}
	}
	for i, agent := range s.Agents {
		if !agent.Owned() {
			return &Error{Code: CodeInvalidField, Field: fmt.Sprintf("agents[%d]", i),
				Detail: "no public key that anyone owns: not a point of the curve, or one of small order", Fix: "name agents' Ed25519 public keys"}
		}
	}
	return nil
}

// MarshalBinary returns the record, an array of agents; the error is always
// nil.
func (s *Seeds) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(8+34*len(s.Agents)), len(s.Agents))
	for i := range s.Agents {
		b = appendBytes(b, s.Agents[i][:])
	}
	return b, nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (s *Seeds) UnmarshalBinary(b []byte) error {
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	agents := make([]AgentID, r.array(0, MaxSeeds))
	for i := range agents {
		r.fixed(agents[i][:])
		if i > 0 && bytes.Compare(agents[i-1][:], agents[i][:]) >= 0 {
			r.fail("agents out of order")
		}
	}
	if err := r.done(); err != nil {
		return err
	}
	s.Agents = agents
	return nil
}

// NodeKey is the public key by which a node signs receipts.
type NodeKey struct {
	NodeID string  `json:"node"`
	Key    AgentID `json:"key"`
}

// MarshalBinary returns the record, [node id, key]; the error is always nil.
func (k *NodeKey) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(48+len(k.NodeID)), 2)
	b = appendText(b, k.NodeID)
	return appendBytes(b, k.Key[:]), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (k *NodeKey) UnmarshalBinary(b []byte) error {
	var decoded NodeKey
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(2, 2)
	decoded.NodeID = r.text()
	r.fixed(decoded.Key[:])
	if err := r.done(); err != nil {
		return err
	}
	*k = decoded
	return nil
}

// Computed is what a leader has computed in the background from a state, to be
// read the same way on every node: the trust in agents, or the model of the
// truth lens. Its bytes are the computing package's own and opaque here.
type Computed struct {
	// Of is KindTrust or KindTruth.
	Of Kind
	// Index is the log index of the state that it was computed from.
	Index uint64
	// Data is at most MaxComputedBytes.
	Data []byte
}

// MarshalBinary returns the record, [index, data]; the error is always nil.
func (c *Computed) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(24+len(c.Data)), 2)
	b = appendUint(b, c.Index)
	return appendBytes(b, c.Data), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (c *Computed) UnmarshalBinary(b []byte) error {
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(2, 2)
	index := r.uint()
	data := bytes.Clone(r.bytes())
	if len(data) > MaxComputedBytes {
		r.fail("%d bytes of data, more than %d", len(data), MaxComputedBytes)
	}
	if err := r.done(); err != nil {
		return err
	}
	c.Index, c.Data = index, data
	return nil
}

// Clock records nothing but that time has passed: every later entry is committed
// at the time of this one or after it.
type Clock struct{}

// MarshalBinary returns the record, an empty array; the error is always nil.
func (*Clock) MarshalBinary() ([]byte, error) { return appendArray(beginRecord(1), 0), nil }

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (*Clock) UnmarshalBinary(b []byte) error {
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(0, 0)
	return r.done()
}

package assertion

// Recorded is an entry with its commit.
type Recorded[E Entry] struct {
	Entry  E
	Commit Commit
	// Authority, if not "", is the id of the admin API key by which the entry
	// decides on what its signer does not own.
	Authority string
}

// Question is what claims answer: a subject and a predicate.
type Question struct {
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
}

// SourceRecord is what is known of a source.
type SourceRecord struct {
	// Source is the newest description; nil if none was registered.
	Source *Recorded[*Source]
	// Statuses are all changes of its status, in log order.
	Statuses []Recorded[*SourceStatus]
}

// Retracted reports whether the newest status retracts the source.
func (s *SourceRecord) Retracted() bool {
	return len(s.Statuses) > 0 && s.Statuses[len(s.Statuses)-1].Entry.Retracted
}

// Cosignature is the event of signers joining a claim after its first commit.
// It carries the claim with the new signatures only.
type Cosignature struct {
	Assertion *Assertion
	Hash      Hash
}

// Kind implements Entry.
func (*Cosignature) Kind() Kind { return KindCosignature }

// MarshalBinary returns the record of the claim with the new signatures.
func (c *Cosignature) MarshalBinary() ([]byte, error) { return c.Assertion.MarshalBinary() }

// UnmarshalBinary reads a record as DecodeRecord does.
func (c *Cosignature) UnmarshalBinary(b []byte) (err error) {
	c.Assertion, c.Hash, err = DecodeRecord(b)
	return err
}

// Event is one change as the log brought it.
type Event struct {
	Commit Commit
	Kind   Kind
	// Claim is set for KindAssertion: as it was first committed, with its first
	// signers and the stage that it states.
	Claim *Claim
	// Entry is set for everything else; a *Cosignature for KindCosignature.
	Entry Entry
	// Authority is that of the entry.
	Authority string
}

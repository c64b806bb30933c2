package assertion

// Label is a gold answer: an administrator's word for what is right on a
// question. It moves the trust in agents and never an answer by itself. The
// newest of a question counts.
type Label struct {
	Subject   string      `json:"subject"`
	Predicate string      `json:"predicate"`
	Object    ObjectValue `json:"object"`
	// Removed takes the label back.
	Removed bool `json:"removed,omitempty"`
}

// DecodeLabelJSON reads the JSON form as strictly as DecodeJSON and normalises
// it. subject, predicate and object must be there.
func DecodeLabelJSON(b []byte) (*Label, error) {
	l := new(Label)
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("a gold label", []jsonField{
			{"subject", true, readString(&l.Subject)},
			{"predicate", true, readString(&l.Predicate)},
			{"object", true, l.Object.readJSON},
			{"removed", false, readBool(&l.Removed)},
		})
	})
	if err != nil {
		return nil, err
	}
	return l, l.Normalize()
}

// asClaim is a claim with the label's question and value, whose rules the label
// shares.
func (l *Label) asClaim() *Assertion {
	return &Assertion{Subject: l.Subject, Predicate: l.Predicate, Object: l.Object, SourceClass: Anecdotal}
}

// Normalize brings question and value to the form that claims have.
func (l *Label) Normalize() error {
	a := l.asClaim()
	if err := a.Normalize(); err != nil {
		return err
	}
	l.Subject, l.Predicate, l.Object = a.Subject, a.Predicate, a.Object
	return nil
}

// Validate holds a normalised label to the rules that claims have for question
// and value, with their codes.
func (l *Label) Validate() error { return l.asClaim().Validate() }

// MarshalBinary returns the record, [subject, predicate, canonical object,
// removed]; the error is always nil.
func (l *Label) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(64+len(l.Subject)+len(l.Predicate)), 4)
	b = appendText(b, l.Subject)
	b = appendText(b, l.Predicate)
	b = l.Object.appendCanonical(b)
	return appendBool(b, l.Removed), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (l *Label) UnmarshalBinary(b []byte) error {
	var decoded Label
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(4, 4)
	decoded.Subject = r.text()
	decoded.Predicate = r.text()
	decoded.Object = r.object()
	decoded.Removed = r.bool()
	if err := r.done(); err != nil {
		return err
	}
	*l = decoded
	return nil
}

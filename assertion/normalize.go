package assertion

// Normalize brings the content to the form that is hashed and signed: texts to
// NFC, negative zero to zero, source_metadata to its RFC 8785 form, empty lists
// to nil. It fails, with an *Error, on what has no such form (text that is not
// UTF-8, metadata that is no I-JSON object), and changes nothing on failure. It
// is idempotent.
func (a *Assertion) Normalize() error {
	subject, err := normalText(a.Subject, CodeSubjectInvalid, "subject")
	if err != nil {
		return err
	}
	predicate, err := normalText(a.Predicate, CodePredicateInvalid, "predicate")
	if err != nil {
		return err
	}
	text, err := normalText(a.Object.text, CodeObjectInvalid, "object.value")
	if err != nil {
		return err
	}
	metadata, err := canonicalMetadata(a.SourceMetadata)
	if err != nil {
		return err
	}
	a.Subject, a.Predicate, a.Object.text, a.SourceMetadata = subject, predicate, text, metadata
	if a.Confidence == 0 {
		a.Confidence = 0 // drops the sign of negative zero
	}
	for i := range a.Vector {
		if a.Vector[i] == 0 {
			a.Vector[i] = 0
		}
	}
	if len(a.Vector) == 0 {
		a.Vector = nil
	}
	if len(a.DerivedFrom) == 0 {
		a.DerivedFrom = nil
	}
	return nil
}

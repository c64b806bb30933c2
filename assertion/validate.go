package assertion

import (
	"bytes"
	"fmt"
	"math"
)

// Validate holds a normalised assertion to the limits of the format and returns
// an *Error for the first that it breaks. It does not look at the clock (see
// CheckTimestamp) nor at the signatures (see Verify).
func (a *Assertion) Validate() error {
	if err := checkName(a.Subject, CodeSubjectInvalid, "subject"); err != nil {
		return err
	}
	if err := checkName(a.Predicate, CodePredicateInvalid, "predicate"); err != nil {
		return err
	}
	if err := a.Object.validate(); err != nil {
		return err
	}
	if err := checkUnit(a.Confidence, "confidence"); err != nil {
		return err
	}
	if !a.SourceClass.valid() {
		return &Error{Code: CodeSourceClassInvalid, Field: "source_class",
			Detail: fmt.Sprintf("%d is no source class", a.SourceClass), Fix: "use 0 (Regulatory) to 5 (Anecdotal)"}
	}
	if !a.Lifecycle.valid() {
		return &Error{Code: CodeLifecycleInvalid, Field: "lifecycle",
			Detail: fmt.Sprintf("%d is no lifecycle stage", a.Lifecycle), Fix: "use 0 (Proposed) to 4 (Rejected)"}
	}
	if err := a.validateMetadata(); err != nil {
		return err
	}
	if err := a.validateVector(); err != nil {
		return err
	}
	if err := a.validateDerivedFrom(); err != nil {
		return err
	}
	// Only content that might be too long is encoded to see whether it is.
	if a.contentSizeHint() > MaxContentBytes {
		if n := len(a.ContentBytes()); n > MaxContentBytes {
			return &Error{Code: CodeTooLarge,
				Detail: fmt.Sprintf("%d bytes of content, more than %d", n, MaxContentBytes),
				Fix:    "shorten the text, the metadata or the vector"}
		}
	}
	return nil
}

// CheckTimestamp refuses a timestamp more than MaxFutureSeconds after now, unix
// seconds, with an *Error of the code timestamp_in_future.
func (a *Assertion) CheckTimestamp(now uint64) error { return checkTimestamp(a.Timestamp, now) }

func checkTimestamp(timestamp, now uint64) error {
	if timestamp <= now || timestamp-now <= MaxFutureSeconds {
		return nil
	}
	return &Error{Code: CodeTimestampInFuture, Field: "timestamp",
		Detail: fmt.Sprintf("%d s ahead of the clock of this node (%d), more than %d s", timestamp-now, now, MaxFutureSeconds),
		Fix:    "send unix seconds and check the clocks of client and node"}
}

// checkUnit holds a confidence or a weight to 0..1.
func checkUnit(f float64, field string) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return notFinite(field)
	}
	if f < 0 || f > 1 || math.Signbit(f) {
		return &Error{Code: CodeConfidenceOutOfRange, Field: field,
			Detail: fmt.Sprintf("%v is outside 0 to 1", f), Fix: "send a number from 0 to 1"}
	}
	return nil
}

func notFinite(field string) *Error {
	return &Error{Code: CodeNumberNotFinite, Field: field,
		Detail: "not a finite number", Fix: "send a number that a double can hold; leave out what is unknown"}
}

func (v ObjectValue) validate() error {
	switch v.kind {
	case KindText:
		return checkText(v.text, CodeObjectInvalid, "object.value") // its length counts in the whole
	case KindReference:
		return checkName(v.text, CodeObjectInvalid, "object.value")
	case KindNumber:
		if f := math.Float64frombits(v.bits); math.IsNaN(f) || math.IsInf(f, 0) {
			return notFinite("object.value")
		}
		return nil
	case KindBoolean:
		return nil
	}
	return &Error{Code: CodeObjectInvalid, Field: "object", Detail: "no value",
		Fix: "give a Text, Number, Boolean or Reference"}
}

func (a *Assertion) validateMetadata() error {
	if a.SourceMetadata == nil {
		return nil
	}
	canonical, err := canonicalMetadata(a.SourceMetadata)
	if err != nil {
		return err
	}
	if canonical == nil || !bytes.Equal(canonical, a.SourceMetadata) {
		return metadataError("not in RFC 8785 form", "normalise it before signing")
	}
	return nil
}

func (a *Assertion) validateVector() error {
	if len(a.Vector) > MaxVectorLen {
		return &Error{Code: CodeVectorInvalid, Field: "vector",
			Detail: fmt.Sprintf("%d components, more than %d", len(a.Vector), MaxVectorLen), Fix: "use a shorter embedding"}
	}
	for i, f := range a.Vector {
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return notFinite(fmt.Sprintf("vector[%d]", i))
		}
		if f == 0 && math.Signbit(float64(f)) {
			return &Error{Code: CodeVectorInvalid, Field: fmt.Sprintf("vector[%d]", i),
				Detail: "negative zero", Fix: "normalise it before signing"}
		}
	}
	return nil
}

func (a *Assertion) validateDerivedFrom() error {
	if len(a.DerivedFrom) > MaxDerivedFrom {
		return &Error{Code: CodeDerivedFromInvalid, Field: "derived_from",
			Detail: fmt.Sprintf("%d hashes, more than %d", len(a.DerivedFrom), MaxDerivedFrom),
			Fix:    "conclude in several steps, each a claim of its own"}
	}
	for i := range a.DerivedFrom {
		for j := range i {
			if a.DerivedFrom[i] == a.DerivedFrom[j] {
				return &Error{Code: CodeDerivedFromInvalid, Field: fmt.Sprintf("derived_from[%d]", i),
					Detail: fmt.Sprintf("repeats derived_from[%d]", j), Fix: "name each claim once"}
			}
		}
	}
	return nil
}

package assertion

import (
	"fmt"

	"github.com/zeebo/blake3"
)

// Source describes what stands behind a source_hash. The newest description of
// a hash counts; earlier ones stay in the history.
type Source struct {
	// Hash is the source_hash of the claims that rest on the source.
	Hash Hash `json:"hash"`
	// URI and Title are for people, at most MaxURIBytes and MaxNameBytes of NFC.
	URI   string `json:"uri"`
	Title string `json:"title"`
	// SourceClass is that of the source; a claim states its own.
	SourceClass SourceClass `json:"source_class"`
	// Content is the source's text, at most MaxSourceBytes of UTF-8, or empty. If
	// it is given, Hash is its BLAKE3-256, so that a reader can check it.
	Content string `json:"content,omitempty"`
}

// DecodeSourceJSON reads the JSON form as strictly as DecodeJSON and normalises
// it. Either hash or content must be there: the hash of content is computed if
// it is absent. source_class defaults to Anecdotal, or to that of the URI's
// scheme as in SchemeClass.
func DecodeSourceJSON(b []byte) (*Source, error) {
	s := &Source{SourceClass: NumTiers}
	err := decodeWithin(b, maxSourceJSONBytes, func(r *jsonReader) error {
		return r.fields("a source", []jsonField{
			{"hash", false, readText(&s.Hash)},
			{"uri", false, readString(&s.URI)},
			{"title", false, readString(&s.Title)},
			{"source_class", false, readText(&s.SourceClass)},
			{"content", false, readString(&s.Content)},
		})
	})
	if err != nil {
		return nil, err
	}
	if s.Hash.IsZero() {
		if s.Content == "" {
			return nil, &Error{Code: CodeMissingField, Field: "hash", Detail: "neither hash nor content is given",
				Fix: "send the source_hash of the claims, or the source's text"}
		}
		s.Hash = blake3.Sum256([]byte(s.Content))
	}
	if s.SourceClass == NumTiers {
		s.SourceClass = Anecdotal
		if class, ok := SchemeClass(s.URI); ok {
			s.SourceClass = class
		}
	}
	return s, s.Normalize()
}

// Normalize brings URI and title to NFC; it fails on what is not UTF-8.
func (s *Source) Normalize() (err error) {
	if s.URI, err = normalText(s.URI, CodeSourceInvalid, "uri"); err != nil {
		return err
	}
	s.Title, err = normalText(s.Title, CodeSourceInvalid, "title")
	return err
}

// Validate holds a normalised source to the rules of its fields; the error is
// an *Error with the code source_invalid or too_large.
func (s *Source) Validate() error {
	for _, field := range []struct {
		name, text string
		most       int
	}{{"uri", s.URI, MaxURIBytes}, {"title", s.Title, MaxNameBytes}} {
		if len(field.text) > field.most {
			return &Error{Code: CodeSourceInvalid, Field: field.name,
				Detail: fmt.Sprintf("%d bytes in NFC, more than %d", len(field.text), field.most), Fix: "shorten it"}
		}
		if err := checkText(field.text, CodeSourceInvalid, field.name); err != nil {
			return err
		}
	}
	switch {
	case s.SourceClass >= NumTiers:
		return &Error{Code: CodeSourceInvalid, Field: "source_class", Detail: "unknown", Fix: "use one of the source classes"}
	case len(s.Content) > MaxSourceBytes:
		return &Error{Code: CodeTooLarge, Field: "content",
			Detail: fmt.Sprintf("%d bytes, more than %d", len(s.Content), MaxSourceBytes), Fix: "register the source without its content"}
	case s.Content != "" && Hash(blake3.Sum256([]byte(s.Content))) != s.Hash:
		return &Error{Code: CodeSourceInvalid, Field: "hash", Detail: "not the BLAKE3-256 of the content",
			Fix: "leave the hash out to have it computed, or leave the content out"}
	}
	return nil
}

// MarshalBinary returns the record, [hash, uri, title, class, content]; the
// error is always nil.
func (s *Source) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(64+len(s.URI)+len(s.Title)+len(s.Content)), 5)
	b = appendBytes(b, s.Hash[:])
	b = appendText(b, s.URI)
	b = appendText(b, s.Title)
	b = appendUint(b, uint64(s.SourceClass))
	return appendText(b, s.Content), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (s *Source) UnmarshalBinary(b []byte) error {
	var decoded Source
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(5, 5)
	r.fixed(decoded.Hash[:])
	decoded.URI = r.text()
	decoded.Title = r.text()
	decoded.SourceClass = SourceClass(r.small(NumTiers - 1))
	decoded.Content = r.text()
	if err := r.done(); err != nil {
		return err
	}
	*s = decoded
	return nil
}

// SourceStatus says whether a source still stands. The newest of a source
// counts: claims on a retracted source are left out of answers.
type SourceStatus struct {
	Source    Hash `json:"source"`
	Retracted bool `json:"retracted"`
	// Reason is for people: UTF-8 in NFC without NUL, at most MaxReasonBytes.
	Reason string `json:"reason"`
}

// DecodeSourceStatusJSON reads the reason of a request to retract or reinstate
// a source, the only field of its JSON form, as strictly as DecodeJSON.
func DecodeSourceStatusJSON(b []byte, source Hash, retracted bool) (*SourceStatus, error) {
	s := &SourceStatus{Source: source, Retracted: retracted}
	err := decodeWhole(b, func(r *jsonReader) error {
		return r.fields("a source's status", []jsonField{{"reason", true, readString(&s.Reason)}})
	})
	if err != nil {
		return nil, err
	}
	s.Reason, err = normalText(s.Reason, CodeSourceInvalid, "reason")
	return s, err
}

// Validate refuses a missing or long reason, with an *Error of the code
// source_invalid.
func (s *SourceStatus) Validate() error {
	if s.Reason == "" || len(s.Reason) > MaxReasonBytes {
		return &Error{Code: CodeSourceInvalid, Field: "reason",
			Detail: fmt.Sprintf("%d bytes in NFC, not 1 to %d", len(s.Reason), MaxReasonBytes), Fix: "say in a sentence why"}
	}
	return checkText(s.Reason, CodeSourceInvalid, "reason")
}

// MarshalBinary returns the record, [source, retracted, reason]; the error is
// always nil.
func (s *SourceStatus) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(48+len(s.Reason)), 3)
	b = appendBytes(b, s.Source[:])
	b = appendBool(b, s.Retracted)
	return appendText(b, s.Reason), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (s *SourceStatus) UnmarshalBinary(b []byte) error {
	var decoded SourceStatus
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(3, 3)
	r.fixed(decoded.Source[:])
	decoded.Retracted = r.bool()
	decoded.Reason = r.text()
	if err := r.done(); err != nil {
		return err
	}
	*s = decoded
	return nil
}

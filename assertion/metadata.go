package assertion

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"

	"github.com/gowebpki/jcs"
)

// canonicalMetadata returns the RFC 8785 form of a JSON object, or nil for
// nothing or a JSON null. What is not I-JSON (RFC 7493) is refused rather than
// altered: repeated names, lone surrogates, noncharacters, numbers that a
// double cannot hold.
func canonicalMetadata(raw json.RawMessage) (json.RawMessage, error) {
	text := bytes.Trim(raw, " \t\r\n")
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	if text[0] != '{' {
		return nil, metadataError("not a JSON object", "put the values in an object")
	}
	r := jsonReader{b: text, exactIntegers: true}
	if err := r.skip(MaxMetadataDepth); err != nil {
		return nil, inField("source_metadata", metadataFault(err))
	}
	if err := r.end(); err != nil {
		return nil, inField("source_metadata", metadataFault(err))
	}
	canonical, err := jcs.Transform(text)
	if err != nil {
		return nil, metadataError(err.Error(), "send I-JSON (RFC 7493)")
	}
	if len(canonical) > MaxMetadataBytes {
		return nil, metadataError(fmt.Sprintf("%d bytes in RFC 8785 form, more than %d", len(canonical), MaxMetadataBytes),
			"keep large documents at the source and refer to them")
	}
	if i := bytes.IndexFunc(canonical, noncharacter); i >= 0 {
		return nil, metadataError("a Unicode noncharacter in a string", "remove it")
	}
	return canonical, nil
}

func noncharacter(r rune) bool { return unicode.Is(unicode.Noncharacter_Code_Point, r) }

func metadataError(detail, fix string) error {
	return &Error{Code: CodeSourceMetadataInvalid, Field: "source_metadata", Detail: detail, Fix: fix}
}

// metadataFault turns a fault of the reader into one of the metadata, below no
// field.
func metadataFault(err error) error {
	var fault *Error
	if errors.As(err, &fault) {
		return &Error{Code: CodeSourceMetadataInvalid, Detail: fault.Detail, Fix: fault.Fix}
	}
	return err
}

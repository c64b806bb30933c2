package assertion

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalText brings s to NFC. Text that is not UTF-8 has no normal form.
func normalText(s, code, field string) (string, error) {
	if !utf8.ValidString(s) {
		return "", &Error{Code: code, Field: field,
			Detail: "not valid UTF-8", Fix: "send it as UTF-8"}
	}
	return norm.NFC.String(s), nil
}

// checkName holds a normalised subject, predicate, entity or epoch name to the
// rule of names: 1 to MaxNameBytes bytes of NFC without control characters.
func checkName(s, code, field string) error {
	if s == "" {
		return &Error{Code: code, Field: field, Detail: "empty",
			Fix: fmt.Sprintf("give 1 to %d bytes of text", MaxNameBytes)}
	}
	if len(s) > MaxNameBytes {
		return &Error{Code: code, Field: field,
			Detail: fmt.Sprintf("%d bytes in NFC, more than %d", len(s), MaxNameBytes), Fix: "shorten it"}
	}
	if err := checkNormal(s, code, field); err != nil {
		return err
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return &Error{Code: code, Field: field,
			Detail: fmt.Sprintf("a control character at byte %d", i), Fix: "remove it"}
	}
	return nil
}

// checkText holds a normalised free text to its rule: NFC without NUL. How long
// it may be is the caller's to say.
func checkText(s, code, field string) error {
	if err := checkNormal(s, code, field); err != nil {
		return err
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return &Error{Code: code, Field: field,
			Detail: fmt.Sprintf("a NUL at byte %d", i), Fix: "remove it"}
	}
	return nil
}

func checkNormal(s, code, field string) error {
	if !utf8.ValidString(s) {
		return &Error{Code: code, Field: field, Detail: "not valid UTF-8", Fix: "send it as UTF-8"}
	}
	if !norm.NFC.IsNormalString(s) {
		return &Error{Code: code, Field: field, Detail: "not in Unicode normalisation form C", Fix: "normalise it before signing"}
	}
	return nil
}

// quoted renders foreign text for a message, bounded so that an error never
// repeats a whole request.
func quoted(s string) string {
	const most = 48
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], ""))
}

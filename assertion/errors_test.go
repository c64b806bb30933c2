package assertion

import (
	"errors"
	"testing"
)

func TestErrorSentence(t *testing.T) {
	for want, err := range map[string]*Error{
		"subject: 600 bytes in NFC, more than 512; shorten it": {Field: "subject", Detail: "600 bytes in NFC, more than 512", Fix: "shorten it"},
		"an empty record": {Detail: "an empty record"},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestErrorPath(t *testing.T) {
	err := (&Error{}).under("version").under("[2]").under("signatures").under("claim")
	if err.Field != "claim.signatures[2].version" {
		t.Errorf("%q", err.Field)
	}
}

// TestErrorsQuoteLittle: a message never repeats a whole request.
func TestErrorsQuoteLittle(t *testing.T) {
	for _, long := range []string{repeat("x", 1000), repeat("é", 1000), repeat("\xff", 1000)} {
		if _, err := ParseSourceClass(long); len(err.Error()) > 400 {
			t.Errorf("%d bytes of message", len(err.Error()))
		}
	}
}

func TestCheckPlainJSON(t *testing.T) {
	for _, good := range []string{`{}`, ` {"name": null, "list": [{"A": 1}]} `, `{"é":"x"}`} {
		if err := CheckPlainJSON([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{``, `[]`, `{`, `{"a":1}{}`, `{"a":1,"a":2}`, `{"A":1}`, `{"a":1,"\u0061":2}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, `{"a":01}`} {
		var fault *Error
		if err := CheckPlainJSON([]byte(bad)); !errors.As(err, &fault) || fault.Code != CodeInvalidJSON {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

package assertion

import "testing"

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

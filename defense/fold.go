package defense

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// fold returns text as a reader takes it, with what only looks different made
// equal: NFKC (full-width, styled and circled letters become plain ones), no
// invisible characters, lower case.
func fold(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(text))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// invisible reports characters that show nothing: those of the category Cf
// (zero-width, bidirectional controls, tags), variation selectors, the combining
// grapheme joiner and the Hangul fillers.
func invisible(r rune) bool {
	if r < 0xAD {
		return false
	}
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0:
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector)
}

package defense

import (
	"slices"
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

// appendFolded appends the folded text to b.
func appendFolded(b, text []byte) []byte {
	if !isASCII(text) {
		return append(b, fold(string(text))...)
	}
	b = slices.Grow(b, len(text))
	for _, c := range text {
		b = append(b, lowerASCII(c))
	}
	return b
}

func isASCII[T string | []byte](s T) bool {
	for ; len(s) >= 8; s = s[8:] {
		if s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7] >= utf8.RuneSelf {
			return false
		}
	}
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

package defense

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// shingleLen is the number of characters, or of words, in a shingle.
	shingleLen = 3
	// wordShingles is the number of words from which shingles are of words. By
	// words, an exchanged word in n touches 3 of n−2 shingles, so two copies that
	// each exchange two words have the similarity (n−14)/(n+10) at worst: 0.89 at
	// 200, but below 0.8 for 100 words, where a copy must be compared by
	// characters. A long text must not be: sequences of three letters are so few
	// that any two long texts of one language, or two reports on one form, hold
	// much the same ones.
	wordShingles = 200
	// maxShingleBytes is how much of a text is compared.
	maxShingleBytes = 8 << 10
)

// shingleText is a text as the flood rule sees it: folded, lower case, letters
// and digits only, with single spaces between words, so that punctuation, case
// and spacing make no other text of it.
type shingleText struct {
	folded []byte
	words  int
	// letters counts letters, wide those of scripts without spaces.
	letters, wide int
}

// newShingleText reads text into buf, which is empty, or into a larger one.
func newShingleText(text string, buf []byte) shingleText {
	if len(text) > maxShingleBytes {
		end := maxShingleBytes
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	if !isASCII(text) {
		text = fold(text)
	}
	t := shingleText{folded: slices.Grow(buf, len(text))}
	gap := true
	for i := 0; i < len(text); {
		r, size := rune(tokenByte[text[i]]), 1
		if text[i] >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(text[i:]); !isTokenRune(r) {
				r = 0
			}
		}
		i += size
		if r == 0 {
			gap = true
			continue
		}
		if gap {
			if t.words > 0 {
				t.folded = append(t.folded, ' ')
			}
			t.words++
			gap = false
		}
		if r < utf8.RuneSelf {
			t.folded = append(t.folded, byte(r))
			if r >= 'a' {
				t.letters++
			}
			continue
		}
		t.folded = utf8.AppendRune(t.folded, r)
		if unicode.IsLetter(r) {
			t.letters++
			if isWide(r) {
				t.wide++
			}
		}
	}
	return t
}

// comparable reports whether the text is long enough to mean something of its
// own, rather than to be a value that many honest claims share.
func (t shingleText) comparable(c FloodConfig) bool {
	return t.words >= c.MinWords && t.letters >= c.MinLetters || 2*t.wide >= c.MinLetters
}

// shingles calls yield with the hash of each shingle of a folded text,
// repetitions included.
func shingles(folded string, yield func(uint64)) {
	if strings.Count(folded, " ") < wordShingles-1 {
		charShingles(folded, yield)
		return
	}
	var window [shingleLen]uint64
	n := 0
	for word := range strings.SplitSeq(folded, " ") {
		h := uint64(fnvOffset)
		for _, r := range word {
			h = (h ^ uint64(r)) * fnvPrime
		}
		window[0], window[1], window[2] = window[1], window[2], mix(h)
		if n++; n >= shingleLen {
			yield(mix(window[0] + mix(window[1]+mix(window[2]))))
		}
	}
}

// charShingles packs three code points of 21 bits, which no two shingles share.
func charShingles(folded string, yield func(uint64)) {
	const all = 1<<(21*shingleLen) - 1
	packed, n := uint64(0), 0
	for _, r := range folded {
		packed = (packed<<21 | uint64(r)) & all
		if n++; n >= shingleLen {
			yield(mix(packed))
		}
	}
}

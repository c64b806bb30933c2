package defense

import (
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
	runes []rune
	words int
	// letters counts letters, wide those of scripts without spaces.
	letters, wide int
}

func newShingleText(text string) shingleText {
	if len(text) > maxShingleBytes {
		end := maxShingleBytes
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	t := shingleText{runes: make([]rune, 0, len(text)+1)}
	gap := true
	for _, r := range fold(text) {
		if !isTokenRune(r) {
			gap = true
			continue
		}
		if gap {
			if t.words > 0 {
				t.runes = append(t.runes, ' ')
			}
			t.words++
			gap = false
		}
		t.runes = append(t.runes, r)
		if r < utf8.RuneSelf && isLower(byte(r)) || r >= utf8.RuneSelf && unicode.IsLetter(r) {
			t.letters++
			if r >= utf8.RuneSelf && isWide(r) {
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

// hash identifies the text as it is compared.
func (t shingleText) hash() uint64 {
	h := uint64(fnvOffset)
	for _, r := range t.runes {
		h = (h ^ uint64(r)) * fnvPrime
	}
	return mix(h)
}

// shingles calls yield with the hash of each shingle, repetitions included.
func (t shingleText) shingles(yield func(uint64)) {
	if t.words < wordShingles {
		t.charShingles(yield)
		return
	}
	var window [shingleLen]uint64
	word, n := uint64(fnvOffset), 0
	end := func() {
		window[0], window[1], window[2] = window[1], window[2], mix(word)
		if n++; n >= shingleLen {
			yield(mix(window[0] + mix(window[1]+mix(window[2]))))
		}
		word = fnvOffset
	}
	for _, r := range t.runes {
		if r == ' ' {
			end()
			continue
		}
		word = (word ^ uint64(r)) * fnvPrime
	}
	end()
}

// charShingles packs three code points of 21 bits, which no two shingles share.
func (t shingleText) charShingles(yield func(uint64)) {
	for i := shingleLen; i <= len(t.runes); i++ {
		yield(mix(uint64(t.runes[i-3])<<42 | uint64(t.runes[i-2])<<21 | uint64(t.runes[i-1])))
	}
}

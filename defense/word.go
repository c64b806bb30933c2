package defense

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// sameRun is how often a letter may follow itself: 4 in a row is noise.
	sameRun = 4
	// longestUnit and leastPeriodic bound the test for a word made of one short
	// unit ("asdasdasd"): units of up to 4 letters, words from 9, at least 3
	// units.
	longestUnit   = 4
	leastPeriodic = 9
	// acronymLetters is the longest word in upper case that is taken for an
	// acronym, which need not be spelt like a word.
	acronymLetters = 5
	// sequenceLetters is the length from which a word in upper case is taken for a
	// sequence of DNA or protein, or another code.
	sequenceLetters = 20
	// consonantsOnly is the length from which a word without a vowel is noise, and
	// consonantRun the run of consonants that is: German has 8 across the joint
	// of a compound ("Angstschweiß", spelt with s and ch), Czech words of five
	// letters have no vowel.
	consonantsOnly = 6
	consonantRun   = 9
	// judgedBytes is how much of a token is looked at; maxCode is the longest
	// token with digits that is taken for a code or digest.
	judgedBytes = 64
	maxCode     = 128
)

// word is what is known of a token.
type word struct {
	runes, cased, upper int
	// wide counts letters of scripts that write a syllable or a word in one.
	wide int
	// digits counts decimal digits.
	digits int
	// run is the longest run of one letter.
	run int
	// vowels and consonants in a row, for Latin and Cyrillic.
	vowels, consonants int
	// latin and cyrillic say that every letter is Latin, or that every one is Cyrillic:
	// the scripts for which vowels are known here.
	latin, cyrillic bool
	lower           [judgedBytes]byte
	n               int
	// hash identifies the token regardless of ASCII case.
	hash uint64
}

func readWord(token string) word {
	w := word{latin: true, cyrillic: true, hash: fnvOffset}
	var last rune
	run, consonants := 0, 0
	for _, r := range token {
		w.runes++
		r = w.read(r)
		w.hash = (w.hash ^ uint64(r)) * fnvPrime
		if r != last {
			last, run = r, 0
		}
		if run++; run > w.run && !unicode.IsDigit(r) {
			w.run = run
		}
		if isVowel(r) {
			w.vowels++
			consonants = 0
		} else {
			consonants++
			w.consonants = max(w.consonants, consonants)
		}
	}
	return w
}

// read counts r and returns its lower case.
func (w *word) read(r rune) rune {
	if r < utf8.RuneSelf {
		c := lowerASCII(byte(r))
		switch {
		case '0' <= c && c <= '9':
			w.digits++
		case c != byte(r):
			w.upper++
			fallthrough
		default:
			w.cased++
			w.cyrillic = false
		}
		w.keep(c)
		return rune(c)
	}
	w.keep(0) // no pair with it is judged
	lower := unicode.ToLower(r)
	switch {
	case lower != r:
		w.upper++
		w.cased++
	case unicode.IsLower(r):
		w.cased++
	case isWide(r):
		w.wide++
	}
	w.latin = w.latin && unicode.Is(unicode.Latin, r)
	w.cyrillic = w.cyrillic && unicode.Is(unicode.Cyrillic, r)
	return lower
}

func (w *word) keep(c byte) {
	if w.n < len(w.lower) {
		w.lower[w.n] = c
		w.n++
	}
}

// noise reports whether the token is no word, name, number or code.
func (w *word) noise() bool {
	if w.run >= sameRun {
		return true
	}
	if w.digits > 0 {
		return w.runes > maxCode
	}
	if w.periodic() {
		return true
	}
	switch {
	case w.latin && w.upper == w.runes && (w.runes <= acronymLetters || w.runes >= sequenceLetters):
		return false
	case w.latin:
		return w.unpronounceable() || oddSpelling(w.lower[:w.n])
	case w.cyrillic:
		return w.unpronounceable()
	}
	return false
}

func (w *word) unpronounceable() bool {
	return w.runes >= consonantsOnly && (w.vowels == 0 || w.consonants >= consonantRun)
}

// periodic reports whether the word repeats a unit of a few letters.
func (w *word) periodic() bool {
	if w.n < leastPeriodic || w.n != w.runes || w.wide > 0 {
		return false
	}
unit:
	for p := 1; p <= min(longestUnit, w.n/3); p++ {
		for i := p; i < w.n; i++ {
			if w.lower[i] != w.lower[i-p] || w.lower[i] == 0 {
				continue unit
			}
		}
		return true
	}
	return false
}

// isVowel takes every Latin letter outside a-z for one: most are accented
// vowels, and the rest is not held against its language.
func isVowel(r rune) bool {
	if r < utf8.RuneSelf {
		const vowels = 1 | 1<<('e'-'a') | 1<<('i'-'a') | 1<<('o'-'a') | 1<<('u'-'a') | 1<<('y'-'a')
		return r >= 'a' && vowels>>(r-'a')&1 == 1
	}
	return unicode.Is(unicode.Latin, r) || strings.ContainsRune("аеёиоуыэюяіїє", r)
}

// isWide reports a letter of a script that is written without spaces or with a
// syllable to the letter.
func isWide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

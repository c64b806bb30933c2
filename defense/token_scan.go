package defense

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// recentWords is how many words back a repetition is looked for, and
	// maxRecent how often a word may occur among them before it is noise: "buy
	// buy buy", not the articles of a long sentence.
	recentWords = 8
	maxRecent   = 2
	// symbolRun is the length from which symbols in a row are noise.
	symbolRun = 3
	// noteWords is how many words a string of source_metadata must have to be
	// taken for prose.
	noteWords = 5
)

// tokenScan measures text. A token is a run of letters, digits and their marks;
// it is sound or noise as a whole.
type tokenScan struct {
	// chars counts the characters that are judged: tokens and runs of symbols;
	// sound counts those in sound tokens. weight is sound with wide letters
	// counted three times.
	chars, sound, weight int
	// bulk is chars with wide letters counted three times.
	bulk int
	// letters counts cased letters, upper those in upper case.
	letters, upper int
	// counts are the occurrences of the sound characters, folded to 256 classes:
	// ASCII in lower case, and the low seven bits of any other.
	counts [256]uint32
	recent [recentWords]uint64
	tokens int
}

// add measures s, which starts a new token.
func (s *tokenScan) add(text string) {
	symbols := 0
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		switch {
		case tokenByte[text[i]] != 0 || r >= utf8.RuneSelf && isTokenRune(r):
			s.endSymbols(symbols)
			symbols = 0
			size = tokenLen(text[i:])
			s.token(text[i : i+size])
		case isSpace(r):
			s.endSymbols(symbols)
			symbols = 0
		case r >= utf8.RuneSelf && unicode.In(r, unicode.Cf, unicode.Variation_Selector):
			// an invisible part of an emoji or of a script; patterns judge it
		default:
			symbols++
		}
		i += size
	}
	s.endSymbols(symbols)
}

func (s *tokenScan) endSymbols(n int) {
	if n >= symbolRun {
		s.chars += n
		s.bulk += n
	}
}

func (s *tokenScan) token(token string) {
	w := readWord(token)
	s.chars += w.runes
	s.bulk += w.runes + 2*w.wide
	s.letters += w.cased
	s.upper += w.upper
	repeated := s.repeated(w.hash)
	if repeated || w.noise() {
		return
	}
	s.sound += w.runes
	s.weight += w.runes + 2*w.wide
	for i := 0; i < len(token); {
		c := token[i]
		if c < utf8.RuneSelf {
			s.counts[tokenByte[c]]++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(token[i:])
		s.counts[128+int(r&127)]++
		i += size
	}
}

// repeated reports whether the token with that hash is among the recent ones
// more than maxRecent times, and remembers it.
func (s *tokenScan) repeated(hash uint64) bool {
	n := 0
	for _, h := range s.recent[:min(s.tokens, recentWords)] {
		if h == hash {
			n++
		}
	}
	s.recent[s.tokens%recentWords] = hash
	s.tokens++
	return n > maxRecent
}

// scanNotes measures those strings of the metadata that are prose, and reports
// whether they are long enough to be judged.
func scanNotes(notes string) (*tokenScan, bool) {
	if notes == "" {
		return nil, false
	}
	var s tokenScan
	for line := range strings.Lines(notes) {
		if strings.Count(line, " ") >= noteWords-1 {
			s.add(line)
		}
	}
	return &s, s.bulk >= proseChars
}

// tokenLen returns the bytes of the token that s starts with.
func tokenLen(s string) int {
	i := 0
	for i < len(s) {
		if tokenByte[s[i]] != 0 {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r < utf8.RuneSelf || !isTokenRune(r) {
			break
		}
		i += size
	}
	return i
}

func isTokenRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isLower(lowerASCII(byte(r))) || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) && !unicode.Is(unicode.Variation_Selector, r)
}

// tokenByte is the lower case of an ASCII letter or digit, 0 for any other byte.
var tokenByte = func() (t [256]byte) {
	for c := range byte(utf8.RuneSelf) {
		if isTokenRune(rune(c)) {
			t[c] = lowerASCII(c)
		}
	}
	return t
}()

func isSpace(r rune) bool {
	return r <= ' ' || r >= utf8.RuneSelf && unicode.IsSpace(r)
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

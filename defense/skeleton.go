package defense

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// spacedLetters is how many single letters in a row are a word written with
// gaps.
const spacedLetters = 4

// appendSkeleton appends folded text to out, which is empty, as bare words, for
// whoever hides a phrase from an exact comparison: accents dropped from Latin
// letters, look-alike letters made Latin, digits that stand for letters inside a
// word replaced, anything else between words a single space, and letters with
// gaps ("i g n o r e") closed up. Line ends stay.
//
// It is read beside the folded text, never instead of it: other alphabets do not
// survive it.
func appendSkeleton(out, folded []byte) []byte {
	if !isASCII(folded) {
		folded = norm.NFD.Bytes(folded)
	}
	s := skeletonWriter{out: slices.Grow(out, len(folded)+1)}
	for i := 0; i < len(folded); {
		if n := asciiLetters(folded[i:]); n > 0 {
			s.letters(folded[i : i+n])
			i += n
			continue
		}
		r, size := utf8.DecodeRune(folded[i:])
		i += size
		switch {
		case unicode.Is(unicode.Mn, r):
			if r >= utf8.RuneSelf && !s.latin {
				s.out = utf8.AppendRune(s.out, r)
			}
			continue
		case r == '\n':
			s.endWord()
			s.endLetters()
			s.out = append(s.out, '\n')
		case isTokenRune(r):
			s.letter(latinLookAlike(r))
		case (r == '@' || r == '$') && s.runes > 0 && i < len(folded) && isLower(folded[i]):
			s.letter(r)
		default:
			s.endWord()
		}
		s.latin = r < utf8.RuneSelf || unicode.Is(unicode.Latin, r)
	}
	s.endWord()
	s.endLetters()
	return s.out
}

// asciiLetters returns how many ASCII letters and digits s starts with.
func asciiLetters(s []byte) int {
	for i := range len(s) {
		if tokenByte[s[i]] == 0 {
			return i
		}
	}
	return len(s)
}

// skeletonWriter builds the words one by one.
type skeletonWriter struct {
	out []byte
	// start is where the current word starts in out, runes its length.
	start, runes int
	// alpha and coded say that the word has letters, and digits or signs.
	alpha, coded bool
	// latin says that the last character was Latin or ASCII.
	latin bool
	// singles is the number of words of one letter up to here, the first of them
	// at singlesAt.
	singles, singlesAt int
}

// startWord puts a space before a new word.
func (s *skeletonWriter) startWord() {
	if s.runes > 0 {
		return
	}
	if n := len(s.out); n > 0 && s.out[n-1] != '\n' && s.out[n-1] != ' ' {
		s.out = append(s.out, ' ')
	}
	s.start = len(s.out)
}

// letters adds lower-case ASCII letters and digits.
func (s *skeletonWriter) letters(text []byte) {
	s.startWord()
	s.runes += len(text)
	for i := range len(text) {
		if isLower(text[i]) {
			s.alpha = true
		} else {
			s.coded = true
		}
	}
	s.out = append(s.out, text...)
	s.latin = true
}

func (s *skeletonWriter) letter(r rune) {
	s.startWord()
	s.runes++
	if r >= utf8.RuneSelf || isLower(byte(r)) {
		s.alpha = true
	} else {
		s.coded = true
	}
	s.out = utf8.AppendRune(s.out, r)
}

func (s *skeletonWriter) endWord() {
	if s.runes == 0 {
		return
	}
	if s.alpha && s.coded {
		for i := s.start; i < len(s.out); i++ {
			s.out[i] = unleet(s.out[i])
		}
	}
	if s.runes == 1 && s.alpha {
		if s.singles == 0 {
			s.singlesAt = s.start
		}
		s.singles++
	} else if s.singles < spacedLetters {
		s.singles = 0
	} else {
		word := string(s.out[s.start:])
		s.out = s.out[:s.start]
		s.endLetters()
		if n := len(s.out); n > 0 && s.out[n-1] != ' ' && s.out[n-1] != '\n' {
			s.out = append(s.out, ' ')
		}
		s.out = append(s.out, word...)
	}
	s.runes, s.alpha, s.coded = 0, false, false
}

// endLetters closes up the single letters at the end of out.
func (s *skeletonWriter) endLetters() {
	if s.singles >= spacedLetters {
		closed := s.out[:s.singlesAt]
		for _, c := range s.out[s.singlesAt:] {
			if c != ' ' {
				closed = append(closed, c)
			}
		}
		s.out = closed
	}
	s.singles = 0
}

// unleet returns the letter that a digit or a sign stands for inside a word.
func unleet(c byte) byte {
	switch c {
	case '0':
		return 'o'
	case '1':
		return 'i'
	case '3':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7':
		return 't'
	}
	return c
}

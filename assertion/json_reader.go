package assertion

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// jsonReader reads RFC 8259 JSON and refuses what encoding/json lets pass and a
// signature must not: names that differ only in case, repeated names, invalid
// UTF-8 and lone surrogates (which encoding/json replaces, so that the signer
// would have signed another text). Its caller walks the value; it never builds
// a tree and never recurses but in skip, which is bounded.
type jsonReader struct {
	b []byte
	i int
	// exactIntegers refuses integers that a double would round silently.
	exactIntegers bool
}

func (r *jsonReader) fault(format string, args ...any) error {
	return &Error{Code: CodeInvalidJSON,
		Detail: fmt.Sprintf(format, args...) + fmt.Sprintf(" at byte %d", r.i), Fix: "send valid JSON (RFC 8259)"}
}

func (r *jsonReader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\r', '\n':
			r.i++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token, 0 at the end.
func (r *jsonReader) peek() byte {
	r.space()
	if r.i < len(r.b) {
		return r.b[r.i]
	}
	return 0
}

func (r *jsonReader) expect(c byte) error {
	if got := r.peek(); got != c || r.i >= len(r.b) {
		if r.i >= len(r.b) {
			return r.fault("the text ends where %q is wanted", c)
		}
		return r.fault("%q where %q is wanted", got, c)
	}
	r.i++
	return nil
}

// end refuses anything but white space after the value.
func (r *jsonReader) end() error {
	r.space()
	if r.i != len(r.b) {
		return r.fault("text after the value")
	}
	return nil
}

// object calls member for each member, with the reader at its value.
func (r *jsonReader) object(member func(name []byte) error) error {
	if err := r.expect('{'); err != nil {
		return err
	}
	if r.peek() == '}' {
		r.i++
		return nil
	}
	for {
		if r.peek() != '"' {
			return r.fault("a member's name is wanted")
		}
		name, err := r.str()
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		if r.peek() == ',' {
			r.i++
			continue
		}
		return r.expect('}')
	}
}

// array calls element for each element, with the reader at it.
func (r *jsonReader) array(element func(i int) error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	if r.peek() == ']' {
		r.i++
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		if r.peek() == ',' {
			r.i++
			continue
		}
		return r.expect(']')
	}
}

// null consumes a null and reports whether there was one.
func (r *jsonReader) null() bool { return r.literal("null") }

func (r *jsonReader) literal(word string) bool {
	r.space()
	if !bytes.HasPrefix(r.b[r.i:], []byte(word)) {
		return false
	}
	if end := r.i + len(word); end < len(r.b) && isWordByte(r.b[end]) {
		return false
	}
	r.i += len(word)
	return true
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// str reads a string; the result may be a part of the input.
func (r *jsonReader) str() ([]byte, error) {
	if err := r.expect('"'); err != nil {
		return nil, err
	}
	start := r.i
	for ; r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; {
		case c == '"':
			s := r.b[start:r.i]
			r.i++
			if !utf8.Valid(s) {
				return nil, r.fault("a string is not valid UTF-8")
			}
			return s, nil
		case c == '\\':
			return r.escapedStr(start)
		case c < ' ':
			return nil, r.fault("a control character in a string")
		}
	}
	return nil, r.fault("a string does not end")
}

// escapedStr finishes a string in which the reader has met an escape.
func (r *jsonReader) escapedStr(start int) ([]byte, error) {
	s := append(make([]byte, 0, 2*(r.i-start)+32), r.b[start:r.i]...)
	for r.i < len(r.b) {
		c := r.b[r.i]
		r.i++
		switch {
		case c == '"':
			if !utf8.Valid(s) {
				return nil, r.fault("a string is not valid UTF-8")
			}
			return s, nil
		case c < ' ':
			return nil, r.fault("a control character in a string")
		case c != '\\':
			s = append(s, c)
			continue
		}
		char, err := r.escape()
		if err != nil {
			return nil, err
		}
		s = utf8.AppendRune(s, char)
	}
	return nil, r.fault("a string does not end")
}

// escape reads what follows a backslash.
func (r *jsonReader) escape() (rune, error) {
	if r.i >= len(r.b) {
		return 0, r.fault("a string does not end")
	}
	c := r.b[r.i]
	r.i++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		first, ok := r.hex4()
		if !ok {
			return 0, r.fault("a bad \\u escape")
		}
		if !utf16.IsSurrogate(first) {
			return first, nil
		}
		if r.i+1 < len(r.b) && r.b[r.i] == '\\' && r.b[r.i+1] == 'u' {
			r.i += 2
			if second, ok := r.hex4(); ok {
				if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
					return pair, nil
				}
			}
		}
		return 0, r.fault("a lone surrogate")
	}
	return 0, r.fault("a bad escape")
}

func (r *jsonReader) hex4() (rune, bool) {
	if len(r.b)-r.i < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.b[r.i:r.i+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	r.i += 4
	return rune(n), true
}

// number reads the text of a number. The words by which other encoders spell
// what JSON cannot hold get the code number_not_finite.
func (r *jsonReader) number() ([]byte, error) {
	if r.notFinite() {
		return nil, notFinite("")
	}
	r.space()
	start := r.i
	if r.i < len(r.b) && r.b[r.i] == '-' {
		r.i++
	}
	integer := r.digits()
	if integer == 0 || integer > 1 && r.b[r.i-integer] == '0' {
		return nil, r.fault("a number is wanted")
	}
	if r.i < len(r.b) && r.b[r.i] == '.' {
		r.i++
		if r.digits() == 0 {
			return nil, r.fault("a digit is wanted")
		}
	}
	if r.i < len(r.b) && (r.b[r.i] == 'e' || r.b[r.i] == 'E') {
		r.i++
		if r.i < len(r.b) && (r.b[r.i] == '+' || r.b[r.i] == '-') {
			r.i++
		}
		if r.digits() == 0 {
			return nil, r.fault("a digit is wanted")
		}
	}
	return r.b[start:r.i], nil
}

func (r *jsonReader) digits() int {
	start := r.i
	for r.i < len(r.b) && '0' <= r.b[r.i] && r.b[r.i] <= '9' {
		r.i++
	}
	return r.i - start
}

// notFinite reports whether the next token spells NaN or an infinity, bare or
// as a string.
func (r *jsonReader) notFinite() bool {
	r.space()
	rest := bytes.TrimPrefix(r.b[r.i:], []byte(`"`))
	rest = bytes.TrimLeft(rest, "+-")
	for _, word := range []string{"nan", "inf", "infinity"} {
		if len(rest) < len(word) || !bytes.EqualFold(rest[:len(word)], []byte(word)) {
			continue
		}
		if len(rest) == len(word) || !isWordByte(rest[len(word)]) {
			return true
		}
	}
	return false
}

// skipNotFinite passes over a bare NaN or infinity, which is no JSON, so that
// whoever reads the number can say what is wrong with it.
func (r *jsonReader) skipNotFinite() bool {
	if r.peek() == '"' || !r.notFinite() {
		return false
	}
	for r.i < len(r.b) && (isWordByte(r.b[r.i]) || r.b[r.i] == '+' || r.b[r.i] == '-') {
		r.i++
	}
	return true
}

// float reads a number as the nearest value of the given width (32 or 64 bits).
func (r *jsonReader) float(width int) (float64, error) {
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(text), width)
	if errors.Is(err, strconv.ErrRange) {
		return 0, notFinite("")
	}
	return f, err
}

// uint reads an unsigned integer below 2^width, written without fraction or
// exponent.
func (r *jsonReader) uint(width int) (uint64, error) {
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(text), 10, width)
	if err != nil {
		return 0, &Error{Code: CodeInvalidField,
			Detail: fmt.Sprintf("%s is no unsigned %d-bit integer", quoted(string(text)), width),
			Fix:    "send an integer without sign, fraction or exponent"}
	}
	return n, nil
}

// skip passes over one value of at most depth nested arrays and objects, whose
// grammar it checks.
func (r *jsonReader) skip(depth int) error {
	switch r.peek() {
	case '{', '[':
		if depth == 0 {
			return r.fault("arrays and objects are nested too deep")
		}
		if r.b[r.i] == '{' {
			return r.object(func([]byte) error { return r.skip(depth - 1) })
		}
		return r.array(func(int) error { return r.skip(depth - 1) })
	case '"':
		_, err := r.str()
		return err
	}
	if r.literal("true") || r.literal("false") || r.literal("null") {
		return nil
	}
	text, err := r.number()
	if err != nil {
		return err
	}
	if r.exactIntegers && !exactInteger(text) {
		return &Error{Code: CodeInvalidJSON,
			Detail: fmt.Sprintf("the integer %s loses digits in a double", quoted(string(text))), Fix: "send it as a string"}
	}
	return nil
}

// exactInteger reports whether a number keeps its digits in RFC 8785 form.
// Numbers with a fraction or an exponent are measurements and may be rounded;
// long integers are mostly identifiers and may not.
func exactInteger(text []byte) bool {
	const safeDigits = 15 // every integer of so many digits is a double
	if len(text) <= safeDigits || bytes.ContainsAny(text, ".eE") {
		return true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return false
	}
	canonical, err := jcs.NumberToJSON(f)
	if err != nil {
		return false
	}
	return canonical == string(text)
}

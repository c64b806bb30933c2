package auth

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The forms in which nodes tell each other usage and failures. Numbers are big-
// endian or, where they are mostly small, uvarints. A message begins with the
// version of its form; another version is refused.
const (
	meterForm   = 1
	breakerForm = 1
)

// maxAhead is how far the clock of another node may be ahead of this one's.
// What is told of later times is not taken in.
const maxAhead = time.Minute

var (
	errForm  = errors.New("told in a form that this version does not know")
	errShort = errors.New("the message ends early or is not well-formed")
	errAhead = fmt.Errorf("the times are more than %v ahead: set the clocks", maxAhead)
)

// line is one entry of a message, and how much it matters.
type line struct {
	weight uint64
	text   []byte
}

// appendLines adds the lines that matter most to a message of at most limit
// bytes; those that matter the same in the order of their text.
func appendLines(message []byte, lines []line, limit int) []byte {
	slices.SortFunc(lines, func(x, y line) int { return cmp.Or(cmp.Compare(y.weight, x.weight), bytes.Compare(x.text, y.text)) })
	for _, l := range lines {
		if len(message)+len(l.text) > limit {
			break
		}
		message = append(message, l.text...)
	}
	return message
}

// idLen is how many bytes of a kind's identity are told.
func (k PrincipalKind) idLen(id *[32]byte) int {
	switch k {
	case AddressKind:
		return 16
	case KeyKind:
		n := 0
		for n < len(id) && id[n] != 0 {
			n++
		}
		return n
	}
	return len(id)
}

// maxPrincipal is the most that append adds.
const maxPrincipal = 1 + 32

// append adds the principal: its kind, plus 4 × its length if it is a key, and
// its identity.
func (p Principal) append(b []byte) []byte {
	n := p.kind.idLen(&p.id)
	first := byte(p.kind)
	if p.kind == KeyKind {
		first |= byte(n) << 2
	}
	return append(append(b, first), p.id[:n]...)
}

// reader takes a message apart. After the first error it returns zeros.
type reader struct {
	rest []byte
	err  error
}

// begin opens a message of a form.
func begin(message []byte, form byte) *reader {
	r := &reader{rest: message}
	if got := r.byte(); r.err == nil && got != form {
		r.fail(fmt.Errorf("%w: %d", errForm, got))
	}
	return r
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *reader) more() bool { return len(r.rest) > 0 }

func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.fail(errShort)
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint reads a number of at most limit.
func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) principal() (p Principal) {
	first := r.byte()
	p.kind = PrincipalKind(first & 3)
	n := int(first >> 2)
	switch {
	case p.kind == KeyKind && n <= len(p.id):
	case n == 0 && p.kind == AgentKind:
		n = len(p.id)
	case n == 0 && p.kind == AddressKind:
		n = 16
	default:
		r.fail(errShort)
		return Principal{}
	}
	copy(p.id[:], r.take(n))
	if r.err == nil && (!p.valid() || p.kind.idLen(&p.id) != n) {
		r.fail(errShort)
	}
	return p
}

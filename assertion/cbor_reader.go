package assertion

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// cborReader reads what the writer writes and nothing else: any other encoding
// of the same value is refused, so that equal values have equal bytes and
// re-encoding a decoded value gives back its input. The first fault stays in
// err and every later read returns zero values.
type cborReader struct {
	b   []byte
	off int
	err error
}

func (r *cborReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Code: CodeRecordInvalid,
			Detail: fmt.Sprintf("at byte %d: ", r.off) + fmt.Sprintf(format, args...),
			Fix:    "send the deterministic CBOR of docs/signing.md"}
		r.off = len(r.b)
	}
}

// done reports the first fault; bytes after the value are one.
func (r *cborReader) done() error {
	if r.err == nil && r.off != len(r.b) {
		r.fail("%d bytes follow the value", len(r.b)-r.off)
	}
	return r.err
}

func (r *cborReader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.b)-r.off {
		r.fail("the value ends early")
		return nil
	}
	s := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return s
}

func (r *cborReader) peek() byte {
	if r.err == nil && r.off < len(r.b) {
		return r.b[r.off]
	}
	return 0xff
}

// head reads an initial byte of the major type and its argument.
func (r *cborReader) head(major byte) uint64 {
	first := r.take(1)
	if first == nil {
		return 0
	}
	if first[0]&0xe0 != major {
		r.off--
		r.fail("major type %d where %d is wanted", first[0]>>5, major>>5)
		return 0
	}
	info := first[0] & 0x1f
	if info < 24 {
		return uint64(info)
	}
	if info > 27 {
		r.fail("indefinite length or reserved argument")
		return 0
	}
	arg := r.take(1 << (info - 24))
	var n, shortest uint64
	switch len(arg) {
	case 0:
		return 0
	case 1:
		n, shortest = uint64(arg[0]), 24
	case 2:
		n, shortest = uint64(binary.BigEndian.Uint16(arg)), math.MaxUint8+1
	case 4:
		n, shortest = uint64(binary.BigEndian.Uint32(arg)), math.MaxUint16+1
	case 8:
		n, shortest = binary.BigEndian.Uint64(arg), math.MaxUint32+1
	}
	if n < shortest {
		r.fail("a number is not in its shortest form")
		return 0
	}
	return n
}

func (r *cborReader) uint() uint64 { return r.head(cborUint) }

// small reads an unsigned number of at most limit, which names fits into.
func (r *cborReader) small(limit uint8) uint8 {
	n := r.uint()
	if n > uint64(limit) {
		r.fail("%d is above %d", n, limit)
		return 0
	}
	return uint8(n)
}

// array reads the head of an array of least to most elements.
func (r *cborReader) array(least, most int) int {
	n := r.head(cborArray)
	if r.err == nil && (n < uint64(least) || n > uint64(most)) {
		r.fail("an array of %d elements where %d to %d are wanted", n, least, most)
		return 0
	}
	return int(n)
}

// bytes reads a byte string; the result is a part of the input.
func (r *cborReader) bytes() []byte {
	n := r.head(cborBytes)
	if n > uint64(len(r.b)) {
		r.fail("the value ends early")
		return nil
	}
	return r.take(int(n))
}

// fixed reads a byte string of exactly len(dst) bytes.
func (r *cborReader) fixed(dst []byte) {
	s := r.bytes()
	if r.err == nil && len(s) != len(dst) {
		r.fail("%d bytes where %d are wanted", len(s), len(dst))
		return
	}
	copy(dst, s)
}

// null consumes a null and reports whether there was one.
func (r *cborReader) null() bool {
	if r.peek() != cborNull {
		return false
	}
	r.off++
	return true
}

func (r *cborReader) optionalHash() *Hash {
	if r.err != nil || r.null() {
		return nil
	}
	h := new(Hash)
	r.fixed(h[:])
	return h
}

// text reads a text string, which must be UTF-8.
func (r *cborReader) text() string { return string(r.textBytes()) }

func (r *cborReader) textBytes() []byte {
	n := r.head(cborText)
	if n > uint64(len(r.b)) {
		r.fail("the value ends early")
		return nil
	}
	s := r.take(int(n))
	if !utf8.Valid(s) {
		r.fail("a text is not valid UTF-8")
		return nil
	}
	return s
}

func (r *cborReader) bool() bool {
	switch r.peek() {
	case cborFalse, cborTrue:
		r.off++
		return r.b[r.off-1] == cborTrue
	}
	r.fail("a boolean is wanted")
	return false
}

// float reads a finite float in its shortest form; negative zero is refused.
func (r *cborReader) float() float64 {
	var f float64
	first := r.take(1)
	if first == nil {
		return 0
	}
	switch first[0] {
	case cborFloat16:
		if s := r.take(2); s != nil {
			f = float16Value(binary.BigEndian.Uint16(s))
		}
	case cborFloat32:
		if s := r.take(4); s != nil {
			f = float64(math.Float32frombits(binary.BigEndian.Uint32(s)))
			if _, ok := float16(f); ok {
				r.fail("a float is not in its shortest form")
			}
		}
	case cborFloat64:
		if s := r.take(8); s != nil {
			f = math.Float64frombits(binary.BigEndian.Uint64(s))
			if float64(float32(f)) == f {
				r.fail("a float is not in its shortest form")
			}
		}
	default:
		r.off--
		r.fail("a float is wanted")
	}
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		r.fail("a float is not finite")
		return 0
	case f == 0 && math.Signbit(f):
		r.fail("negative zero")
		return 0
	}
	return f
}

package assertion

import (
	"encoding/binary"
	"math"
)

// The writer half of RFC 8949 core deterministic encoding (§4.2.1), for the few
// types that content needs: shortest heads, definite lengths, shortest floats
// that keep the value. It is written out because content is encoded, hashed and
// decoded again on every node for every write; a test holds it byte-equal to a
// general library.

// Major types of RFC 8949 §3.1 in the high three bits of an initial byte.
const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
)

// Initial bytes of major type 7 (RFC 8949 §3.3).
const (
	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborNull    = 0xf6
	cborFloat16 = 0xf9
	cborFloat32 = 0xfa
	cborFloat64 = 0xfb
)

// appendHead writes the initial byte of a major type and its argument in the
// shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, cborUint, n) }

func appendArray(b []byte, n int) []byte { return appendHead(b, cborArray, uint64(n)) }

func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, cborBytes, uint64(len(s))), s...)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, cborTrue)
	}
	return append(b, cborFalse)
}

// appendOptionalHash writes the bytes of h, or null.
func appendOptionalHash(b []byte, h *Hash) []byte {
	if h == nil {
		return append(b, cborNull)
	}
	return appendBytes(b, h[:])
}

// appendFloat writes f in the shortest of half, single and double precision
// that keeps its value; negative zero is written as zero.
func appendFloat(b []byte, f float64) []byte {
	if f == 0 {
		f = 0 // drops the sign of negative zero
	}
	if half, ok := float16(f); ok {
		return binary.BigEndian.AppendUint16(append(b, cborFloat16), half)
	}
	if single := float32(f); float64(single) == f {
		return binary.BigEndian.AppendUint32(append(b, cborFloat32), math.Float32bits(single))
	}
	return binary.BigEndian.AppendUint64(append(b, cborFloat64), math.Float64bits(f))
}

// float16 returns the IEEE 754 half-precision bits of f if half precision holds
// exactly this finite value.
func float16(f float64) (uint16, bool) {
	const fraction = 52 // bits of a double's fraction
	bits := math.Float64bits(f)
	sign := uint16(bits>>48) & 0x8000
	exponent := int(bits>>fraction&0x7ff) - 1023
	mantissa := bits & (1<<fraction - 1)
	switch {
	case bits<<1 == 0:
		return sign, true
	case -14 <= exponent && exponent <= 15: // a normal half has 10 bits of fraction
		if mantissa&(1<<42-1) != 0 {
			return 0, false
		}
		return sign | uint16(exponent+15)<<10 | uint16(mantissa>>42), true
	case -24 <= exponent && exponent < -14: // a subnormal half counts units of 2^-24
		significand := mantissa | 1<<fraction
		shift := uint(fraction - 24 - exponent)
		if significand&(1<<shift-1) != 0 {
			return 0, false
		}
		return sign | uint16(significand>>shift), true
	}
	return 0, false
}

// float16Value returns the value of half-precision bits.
func float16Value(half uint16) float64 {
	exponent, fraction := int(half>>10&0x1f), float64(half&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 0x1f:
		f = math.Inf(1)
		if fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if half&0x8000 != 0 {
		return -f
	}
	return f
}

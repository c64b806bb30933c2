package index

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"

	"github.com/stemedb/stemedb/assertion"
)

// contribution is what one voice adds to its bucket: confidence ×
// 2^(timestamp / half-life), held exactly as mantissa × 2^exponent with an
// integer mantissa of at most 53 bits. Multiplied by 2^(−T / half-life) it is
// the effective confidence at T.
type contribution struct {
	mantissa uint64
	exponent int32
}

// newContribution rounds twice (the power and the product), so it is within
// two units in the last place of the exact value.
func newContribution(class assertion.SourceClass, confidence float64, timestamp uint64) contribution {
	if confidence == 0 {
		return contribution{}
	}
	value, whole := confidence, 0.0
	if halfLife := class.HalfLifeSeconds(); halfLife > 0 {
		var fraction float64
		whole, fraction = math.Modf(float64(timestamp) / halfLife)
		value = confidence * math.Exp2(fraction)
	}
	f, exp := math.Frexp(value)
	return contribution{mantissa: uint64(math.Ldexp(f, 53)), exponent: int32(exp - 53 + int(whole))}
}

func (c contribution) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.mantissa)
	return binary.BigEndian.AppendUint32(b, uint32(c.exponent))
}

const contributionLen = 12

func decodeContribution(b []byte) (contribution, error) {
	if len(b) != contributionLen {
		return contribution{}, fmt.Errorf("%w: a contribution of %d bytes", ErrCorrupt, len(b))
	}
	return contribution{mantissa: binary.BigEndian.Uint64(b), exponent: int32(binary.BigEndian.Uint32(b[8:]))}, nil
}

// sum is an exact sum of contributions: magnitude × 2^shift. Adding and
// removing are integer arithmetic, so the order does not matter and a removed
// contribution leaves nothing behind.
type sum struct {
	shift     int32
	magnitude big.Int
}

func (s *sum) align(exponent int32) (left uint) {
	if s.magnitude.Sign() == 0 {
		s.shift = exponent
	}
	if exponent < s.shift {
		s.magnitude.Lsh(&s.magnitude, uint(s.shift-exponent))
		s.shift = exponent
	}
	return uint(exponent - s.shift)
}

func (s *sum) add(c contribution) {
	if c.mantissa == 0 {
		return
	}
	var term big.Int
	s.magnitude.Add(&s.magnitude, term.Lsh(term.SetUint64(c.mantissa), s.align(c.exponent)))
}

// remove takes out a contribution that was added before; anything else is
// corruption.
func (s *sum) remove(c contribution) error {
	if c.mantissa == 0 {
		return nil
	}
	var term big.Int
	s.magnitude.Sub(&s.magnitude, term.Lsh(term.SetUint64(c.mantissa), s.align(c.exponent)))
	if s.magnitude.Sign() < 0 {
		return fmt.Errorf("%w: a support sum became negative", ErrCorrupt)
	}
	if zeros := s.magnitude.TrailingZeroBits(); zeros >= 64 {
		s.magnitude.Rsh(&s.magnitude, zeros)
		s.shift += int32(zeros)
	}
	return nil
}

// at returns the sum of effective confidences at time t (unix seconds) for
// claims that are not later than t.
func (s *sum) at(class assertion.SourceClass, t uint64) float64 {
	if s.magnitude.Sign() == 0 {
		return 0
	}
	rounded := new(big.Float).SetPrec(64).SetInt(&s.magnitude)
	mantissa := new(big.Float)
	exponent := rounded.MantExp(mantissa) + int(s.shift)
	value, _ := mantissa.Float64()
	if halfLife := class.HalfLifeSeconds(); halfLife > 0 {
		whole, fraction := math.Modf(float64(t) / halfLife)
		value *= math.Exp2(-fraction)
		exponent -= int(whole)
	}
	return math.Ldexp(value, exponent)
}

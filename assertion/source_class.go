package assertion

import (
	"fmt"
	"math"
)

// SourceClass says what kind of source a claim rests on. Its number is its
// tier: 0 is the strongest.
type SourceClass uint8

// The source classes, strongest first. Anecdotal is the default of the JSON
// form; in Go the zero value is Regulatory, so set the field.
const (
	Regulatory SourceClass = iota
	Clinical
	Observational
	Expert
	Community
	Anecdotal
)

// NumTiers is the number of source classes.
const NumTiers = 6

const secondsPerDay = 86400

// SourceClasses returns every class, strongest first.
func SourceClasses() []SourceClass {
	return []SourceClass{Regulatory, Clinical, Observational, Expert, Community, Anecdotal}
}

// ParseSourceClass reads a class by its name, as String writes it;
// "PeerReviewed" is an alias of Clinical. The error is an *Error with the code
// source_class_invalid.
func ParseSourceClass(s string) (SourceClass, error) {
	switch s {
	case "Regulatory":
		return Regulatory, nil
	case "Clinical", "PeerReviewed":
		return Clinical, nil
	case "Observational":
		return Observational, nil
	case "Expert":
		return Expert, nil
	case "Community":
		return Community, nil
	case "Anecdotal":
		return Anecdotal, nil
	}
	return 0, &Error{Code: CodeSourceClassInvalid,
		Detail: fmt.Sprintf("%s is no source class", quoted(s)),
		Fix:    "use Regulatory, Clinical (or PeerReviewed), Observational, Expert, Community or Anecdotal"}
}

func (c SourceClass) String() string {
	switch c {
	case Regulatory:
		return "Regulatory"
	case Clinical:
		return "Clinical"
	case Observational:
		return "Observational"
	case Expert:
		return "Expert"
	case Community:
		return "Community"
	case Anecdotal:
		return "Anecdotal"
	}
	return fmt.Sprintf("SourceClass(%d)", uint8(c))
}

// MarshalText returns the name; a value that is no class is an error.
func (c SourceClass) MarshalText() ([]byte, error) {
	if !c.valid() {
		return nil, &Error{Code: CodeSourceClassInvalid, Detail: fmt.Sprintf("%d is no source class", uint8(c))}
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads a name as ParseSourceClass does.
func (c *SourceClass) UnmarshalText(text []byte) error {
	parsed, err := ParseSourceClass(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

func (c SourceClass) valid() bool { return c < NumTiers }

// Tier returns 0 (strongest) to 5.
func (c SourceClass) Tier() int { return int(c) }

// Weight is what one unit of effective confidence in this class adds to a
// value's support, 0.10 to 1.
func (c SourceClass) Weight() float64 {
	switch c {
	case Regulatory:
		return 1.00
	case Clinical:
		return 0.85
	case Observational:
		return 0.65
	case Expert:
		return 0.45
	case Community:
		return 0.25
	case Anecdotal:
		return 0.10
	}
	return 0
}

// HalfLifeSeconds is the time in which confidence in a claim of this class
// halves; 0 means that it never decays.
func (c SourceClass) HalfLifeSeconds() float64 {
	switch c {
	case Clinical:
		return 730 * secondsPerDay
	case Observational:
		return 365 * secondsPerDay
	case Expert:
		return 180 * secondsPerDay
	case Community:
		return 90 * secondsPerDay
	case Anecdotal:
		return 30 * secondsPerDay
	}
	return 0
}

// EffectiveConfidence is the confidence that is left at the time at of a claim
// made at timestamp (both unix seconds):
//
//	confidence × 0.5^(max(0, at − timestamp) / half-life)
//
// A claim from the future of at has not aged. The result is computed at read
// time and never stored.
func (c SourceClass) EffectiveConfidence(confidence float64, timestamp, at uint64) float64 {
	halfLife := c.HalfLifeSeconds()
	if halfLife == 0 || at <= timestamp {
		return confidence
	}
	return confidence * math.Exp2(-float64(at-timestamp)/halfLife)
}

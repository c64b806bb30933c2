package auth

import "fmt"

// Tier is how far the cluster trusts an agent. It decides how much an agent may
// use.
type Tier uint8

// The tiers, by the trust from which each begins.
const (
	Untrusted Tier = iota // below 0.3
	Limited               // 0.3
	Verified              // 0.5
	Trusted               // 0.7
	Authority             // 0.9
)

// TierOf is the tier of a trust, 0 to 1. What is no number is Untrusted.
func TierOf(trust float64) Tier {
	switch {
	case trust >= 0.9:
		return Authority
	case trust >= 0.7:
		return Trusted
	case trust >= 0.5:
		return Verified
	case trust >= 0.3:
		return Limited
	}
	return Untrusted
}

// Multiplier is the tier's share of BaseQuota, 0.1 to 10.
func (t Tier) Multiplier() float64 { return float64(t.tenths()) / 10 }

// Quota is how many units the tier may use in an hour.
func (t Tier) Quota() uint64 { return BaseQuota / 10 * t.tenths() }

// tenths is the multiplier in whole numbers.
func (t Tier) tenths() uint64 {
	switch t {
	case Limited:
		return 5
	case Verified:
		return 10
	case Trusted:
		return 20
	case Authority:
		return 100
	}
	return 1
}

// String is the tier's name, in lower case.
func (t Tier) String() string {
	switch t {
	case Untrusted:
		return "untrusted"
	case Limited:
		return "limited"
	case Verified:
		return "verified"
	case Trusted:
		return "trusted"
	case Authority:
		return "authority"
	}
	return fmt.Sprintf("tier %d", uint8(t))
}

// MarshalText implements encoding.TextMarshaler.
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

package defense

import "fmt"

// Mode says how far a verdict may go.
type Mode uint8

// The modes. The zero value is Off.
const (
	// Off inspects nothing: every claim passes.
	Off Mode = iota
	// FlagOnly marks what a rule finds and hides nothing.
	FlagOnly
	// QuarantineMode lets rules keep claims out of answers.
	QuarantineMode
)

// ParseMode reads "off", "flag" or "quarantine".
func ParseMode(s string) (Mode, error) {
	for m := Off; m <= QuarantineMode; m++ {
		if s == m.String() {
			return m, nil
		}
	}
	return Off, fmt.Errorf("%q is no mode of the content defence: use off, flag or quarantine", s)
}

func (m Mode) String() string {
	switch m {
	case Off:
		return "off"
	case FlagOnly:
		return "flag"
	case QuarantineMode:
		return "quarantine"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText returns the name.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a name as ParseMode does.
func (m *Mode) UnmarshalText(text []byte) error {
	parsed, err := ParseMode(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// limit returns the action that the mode allows for a.
func (m Mode) limit(a Action) Action {
	switch m {
	case Off:
		return Pass
	case FlagOnly:
		return min(a, Flag)
	}
	return a
}

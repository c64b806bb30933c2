package assertion

import "fmt"

// SupersessionType says how a newer epoch or claim stands to an older one.
type SupersessionType uint8

// The types. The zero value means that nothing is superseded.
const (
	// Replaces: the newer takes the place of the older.
	Replaces SupersessionType = 1 + iota
	// Refines: the newer narrows the older, which stays right in general.
	Refines
	// Retracts: the older was wrong, whatever is true instead.
	Retracts
)

// ParseSupersessionType reads a type by its name, as String writes it. The
// error is an *Error with the code invalid_field.
func ParseSupersessionType(s string) (SupersessionType, error) {
	for t := Replaces; t <= Retracts; t++ {
		if t.String() == s {
			return t, nil
		}
	}
	return 0, &Error{Code: CodeInvalidField, Detail: quoted(s) + " is no supersession type",
		Fix: "use Replaces, Refines or Retracts"}
}

func (t SupersessionType) String() string {
	switch t {
	case Replaces:
		return "Replaces"
	case Refines:
		return "Refines"
	case Retracts:
		return "Retracts"
	}
	return fmt.Sprintf("SupersessionType(%d)", uint8(t))
}

// MarshalText returns the name; a value that is no type is an error.
func (t SupersessionType) MarshalText() ([]byte, error) {
	if t < Replaces || t > Retracts {
		return nil, &Error{Code: CodeInvalidField, Detail: fmt.Sprintf("%d is no supersession type", uint8(t))}
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads a name as ParseSupersessionType does.
func (t *SupersessionType) UnmarshalText(text []byte) error {
	parsed, err := ParseSupersessionType(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// Hides reports whether what is superseded is left out of ordinary answers.
// What is refined stays right in general, and stays.
func (t SupersessionType) Hides() bool { return t == Replaces || t == Retracts }

package assertion

import "fmt"

// Lifecycle is the stage of a claim. A claim states its first stage; later
// ones come from claims whose parent_hash names it.
type Lifecycle uint8

// The stages. Proposed is the default.
const (
	Proposed Lifecycle = iota
	UnderReview
	Approved
	Deprecated
	Rejected
)

// Lifecycles returns every stage.
func Lifecycles() []Lifecycle {
	return []Lifecycle{Proposed, UnderReview, Approved, Deprecated, Rejected}
}

// ParseLifecycle reads a stage by its name, as String writes it. The error is
// an *Error with the code lifecycle_invalid.
func ParseLifecycle(s string) (Lifecycle, error) {
	for l := Proposed; l.valid(); l++ {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, &Error{Code: CodeLifecycleInvalid,
		Detail: fmt.Sprintf("%s is no lifecycle stage", quoted(s)),
		Fix:    "use Proposed, UnderReview, Approved, Deprecated or Rejected"}
}

func (l Lifecycle) String() string {
	switch l {
	case Proposed:
		return "Proposed"
	case UnderReview:
		return "UnderReview"
	case Approved:
		return "Approved"
	case Deprecated:
		return "Deprecated"
	case Rejected:
		return "Rejected"
	}
	return fmt.Sprintf("Lifecycle(%d)", uint8(l))
}

// MarshalText returns the name; a value that is no stage is an error.
func (l Lifecycle) MarshalText() ([]byte, error) {
	if !l.valid() {
		return nil, &Error{Code: CodeLifecycleInvalid, Detail: fmt.Sprintf("%d is no lifecycle stage", uint8(l))}
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads a name as ParseLifecycle does.
func (l *Lifecycle) UnmarshalText(text []byte) error {
	parsed, err := ParseLifecycle(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

func (l Lifecycle) valid() bool { return l <= Rejected }

// Visible reports whether queries show claims of this stage unless asked
// otherwise: all but Deprecated and Rejected.
func (l Lifecycle) Visible() bool { return l != Deprecated && l != Rejected }

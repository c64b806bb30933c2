package defense

import (
	"errors"
	"fmt"
	"regexp"
)

// Pattern is a known bad text.
type Pattern struct {
	// Name identifies the pattern in verdicts, 1 to 64 bytes.
	Name string `json:"name"`
	// Expr is a Go regular expression (RE2: time linear in the text). It is tried
	// on the lines of a claim (subject, predicate, object, the strings of
	// source_metadata) as written; folded: NFKC, invisible characters removed,
	// lower case; and as bare Latin words with look-alikes, digits for letters
	// and letters with gaps resolved.
	Expr string `json:"expr"`
	// Action is Flag or Quarantine.
	Action Action `json:"action"`
	// Cues are texts, lower-case, one of which every match holds or stands beside
	// in the claim. They only save time: without any, the expression is tried on
	// every claim.
	Cues []string `json:"cues,omitempty"`
	// Within is how many bytes on either side of a cue are read, 0 for the whole
	// claim. It says that what the expression looks for stands close together,
	// which costs less than to say so by the expression.
	Within int `json:"within,omitempty"`
	// MinBytes is the length of the shortest match, for long ones: a shorter text
	// is not tried.
	MinBytes int `json:"min_bytes,omitempty"`
	// MinRun is the length of a run of bytes above the space that every match
	// holds: a text without one is not tried.
	MinRun int `json:"min_run,omitempty"`
	// AsWritten tries the expression on the text as written only, for patterns
	// about the writing itself.
	AsWritten bool `json:"as_written,omitempty"`
}

// maxNameLen bounds a pattern's name, in bytes.
const maxNameLen = 64

func (p Pattern) compile() (*regexp.Regexp, error) {
	expr, err := regexp.Compile(p.Expr)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", p.Name, err)
	}
	var faults []error
	if p.Name == "" || len(p.Name) > maxNameLen {
		faults = append(faults, fmt.Errorf("a pattern's name has %d bytes, not 1 to %d", len(p.Name), maxNameLen))
	}
	if p.Action != Flag && p.Action != Quarantine {
		faults = append(faults, fmt.Errorf("pattern %q: the action is %v, not flag or quarantine", p.Name, p.Action))
	}
	if p.Within < 0 || p.MinBytes < 0 || p.MinRun < 0 || p.Within > 0 && len(p.Cues) == 0 {
		faults = append(faults, fmt.Errorf("pattern %q: within %d, min_bytes %d, min_run %d and %d cues do not go together", p.Name, p.Within, p.MinBytes, p.MinRun, len(p.Cues)))
	}
	for _, c := range p.Cues {
		if c == "" || c != fold(c) && !hidden(c) {
			faults = append(faults, fmt.Errorf("pattern %q: the cue %q is empty or not in lower case", p.Name, c))
		}
	}
	return expr, errors.Join(faults...)
}

// hidden reports whether c is made of invisible characters, or is the first
// bytes of one.
func hidden(c string) bool {
	for _, r := range c {
		if r != '\uFFFD' && !invisible(r) {
			return false
		}
	}
	return true
}

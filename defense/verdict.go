package defense

import "fmt"

// Action is what becomes of a claim. Actions are ordered: a larger one is more
// severe.
type Action uint8

// The actions.
const (
	// Pass: no rule found anything.
	Pass Action = iota
	// Flag: the claim is visible, and answers that rest on it say what was found.
	Flag
	// Quarantine: the claim is stored and left out of answers until reviewed.
	Quarantine
)

func (a Action) String() string {
	switch a {
	case Pass:
		return "pass"
	case Flag:
		return "flag"
	case Quarantine:
		return "quarantine"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// MarshalText returns the name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads "pass", "flag" or "quarantine".
func (a *Action) UnmarshalText(text []byte) error {
	for known := Pass; known <= Quarantine; known++ {
		if string(text) == known.String() {
			*a = known
			return nil
		}
	}
	return fmt.Errorf("%q is no action of the content defence: use pass, flag or quarantine", text)
}

// Code names a rule. Codes are stable: they are logged, counted and shown.
type Code string

// The codes.
const (
	CodeLowQuality      Code = "low_quality"
	CodeNearCopy        Code = "near_copy"
	CodeOverconfident   Code = "overconfident"
	CodePattern         Code = "pattern"
	CodePromptInjection Code = "prompt_injection"
)

// Reason is one finding.
type Reason struct {
	Code Code `json:"code"`
	// Rule is the pattern's or injection rule's name; empty for the other codes.
	Rule string `json:"rule,omitempty"`
	// Action is what the rule asks for by itself, before the mode limits it.
	Action Action `json:"action"`
	// Detail is a sentence for a reviewer. It never repeats the claim's text.
	Detail string `json:"detail"`
	// Score is how strongly the rule spoke, 0 to 1: one minus the quality, the
	// estimated Jaccard similarity, the stated confidence, or 1 for a match.
	Score float64 `json:"score"`
}

// Verdict is the judgement of one claim.
type Verdict struct {
	Action Action `json:"action"`
	// Reasons are in the order of the codes above, nil if Action is Pass.
	Reasons []Reason `json:"reasons,omitempty"`
	// Quality is zero if the mode is Off.
	Quality Quality `json:"quality"`
}

package defense

import (
	"fmt"
	"math"

	"github.com/stemedb/stemedb/assertion"
)

// Subject is who makes a claim, as far as the request proves it.
type Subject struct {
	// Agent is the signer whose signature was verified.
	Agent assertion.AgentID
	// Trust is the agent's trust, 0 to 1; a new agent has 0.5. What is no number
	// in that range counts as the nearest end, NaN as 0.
	Trust float64
	// Bound says that the request's API key is bound to the agent.
	Bound bool
}

// Defense judges claims. It is safe for concurrent use.
type Defense struct {
	config Config
	rules  *ruleSet
	flood  *floodMemory
}

// New makes a Defense. It fails if c is not valid.
func New(c Config) (*Defense, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Defense{config: c}
	if c.Mode == Off {
		return d, nil
	}
	rules, err := newRuleSet(c)
	if err != nil {
		return nil, fmt.Errorf("content defence: %w", err)
	}
	d.rules = rules
	if c.Flood.Copies > 0 {
		d.flood = newFloodMemory(c.Flood)
	}
	return d, nil
}

// Mode returns the mode that the Defense was made with.
func (d *Defense) Mode() Mode { return d.config.Mode }

// Inspect judges a claim that Normalize and Validate have accepted. The time
// now is in unix seconds; it should not go back by more than the flood window.
// Call it once for each claim that is about to be proposed: it remembers long
// texts.
func (d *Defense) Inspect(a *assertion.Assertion, s Subject, now uint64) Verdict {
	if d.config.Mode == Off {
		return Verdict{}
	}
	s.Trust = unit(s.Trust)
	t := readText(a)
	v := Verdict{Quality: t.quality(s.Trust)}
	if v.Quality.Score < d.config.MinQuality {
		v.Reasons = append(v.Reasons, v.Quality.reason(d.config.MinQuality))
	}
	if r, flood := d.nearCopy(a, t, s, now); flood {
		v.Reasons = append(v.Reasons, r)
	}
	if r, bold := d.overconfident(a, s); bold {
		v.Reasons = append(v.Reasons, r)
	}
	v.Reasons = append(v.Reasons, d.rules.match(t)...)
	v.Action = d.config.Mode.limit(decide(v.Reasons))
	return v
}

// decide returns the most severe action asked for. Text that instructs the
// reader asks for a flag alone, and for quarantine beside any other reason.
func decide(reasons []Reason) Action {
	action, injected, other := Pass, false, false
	for _, r := range reasons {
		action = max(action, r.Action)
		if r.Code == CodePromptInjection {
			injected = true
		} else {
			other = true
		}
	}
	if injected && other {
		return Quarantine
	}
	return action
}

// unit brings x into 0..1.
func unit(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, 0), 1)
}

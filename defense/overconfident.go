package defense

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// overconfident applies the rule of the overconfident stranger. A new agent has
// trust 0.5 and is not below the default StrangerTrust: the rule is about
// agents that have lost trust, not about newcomers.
func (d *Defense) overconfident(a *assertion.Assertion, s Subject) (Reason, bool) {
	c := &d.config
	if !c.HighConfidenceRule || c.StrangerAction == Pass || s.Bound && !c.HighConfidenceForBound ||
		s.Trust >= c.StrangerTrust || a.Confidence <= c.StrangerConfidence {
		return Reason{}, false
	}
	return Reason{
		Code:   CodeOverconfident,
		Action: c.StrangerAction,
		Detail: fmt.Sprintf("an agent of trust %.2f claims with confidence %.2f; below trust %.2f at most %.2f is expected",
			s.Trust, a.Confidence, c.StrangerTrust, c.StrangerConfidence),
		Score: a.Confidence,
	}, true
}

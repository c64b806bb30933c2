package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

const epochName = "epoch"

// epoch is a filter: it leaves out the claims of epochs that a later one
// replaces or retracts, and lets another lens resolve the rest. A voice whose
// newest claim is left out speaks by the newest that is not.
type epoch struct{ inner Lens }

func (l epoch) Name() string { return epochName + "," + l.inner.Name() }
func (l epoch) Rule() string {
	return "claims of epochs that are replaced or retracted do not count; of the rest, " + l.inner.Rule()
}
func (l epoch) Needs() Needs { return l.inner.Needs() | NeedsTally | NeedsClaims | NeedsEpochs }

func (l epoch) Resolve(in Input) (*Resolution, error) {
	kept, dropped := in.Without(func(c *assertion.Claim) bool {
		if c.Epoch == nil {
			return false
		}
		_, superseded := in.SupersededEpochs[*c.Epoch]
		return superseded
	})
	r, err := l.inner.Resolve(kept)
	if err != nil {
		return nil, err
	}
	r.Explanation.Lens, r.Explanation.Rule = l.Name(), l.Rule()
	r.Explanation.Decision = fmt.Sprintf("%s of superseded epochs left out; %s", plural(uint64(dropped), "claim"), r.Explanation.Decision)
	return r, nil
}

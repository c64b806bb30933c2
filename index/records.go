package index

import (
	"github.com/stemedb/stemedb/assertion"
)

// Records returns what the log has recorded after a position, up to limit, in log
// order, as Feed does but with everything that Feed leaves out: claims that the
// content defence hides, and API keys. Claims come with their findings and the
// present state of their review.
func (v *View) Records(after assertion.Position, limit int) ([]assertion.Event, error) {
	return v.events(after, limit, true, nil)
}

// Decided reports whether there is an entry of the same kind on the same thing,
// for kinds of which the newest entry counts: sources and their status, aliases,
// labels, seeds, decisions.
func (v *View) Decided(e assertion.Entry) (bool, error) {
	keys := lookups(e, seq{})
	if len(keys) == 0 {
		return false, nil
	}
	_, found, err := v.latest(keys[0][:len(keys[0])-seqLen])
	return found, err
}

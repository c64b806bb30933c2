package corpus

import (
	"testing"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/defense"
)

// Honest claims, in whatever order and from however new an agent, stay in the
// answers.
func TestTheDefenceQuarantinesNothing(t *testing.T) {
	entries, err := Load(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := defense.New(defense.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		agent := assertion.AgentID(blake3.Sum256([]byte(e.Organisation)))
		verdict := d.Inspect(e.Claim, defense.Subject{Agent: agent, Trust: 0.5}, 1_800_000_000+uint64(i)/100)
		if verdict.Action != defense.Pass {
			t.Errorf("%s %s = %s: %s for %+v", e.Claim.Subject, e.Claim.Predicate, e.Claim.Object, verdict.Action, verdict.Reasons)
		}
	}
	if len(entries) < 50 {
		t.Errorf("only %d claims were judged", len(entries))
	}
}

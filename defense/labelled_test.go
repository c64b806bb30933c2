package defense_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/defense"
)

// labelled is one line of a labelled set.
type labelled struct {
	Category string
	Agent    string
	Trust    float64
	Bound    bool
	Claim    struct {
		Subject        string
		Predicate      string
		Object         assertion.ObjectValue
		Confidence     float64
		SourceMetadata json.RawMessage `json:"source_metadata"`
	}
	heldOut bool
}

// claim builds the claim as the API would have it: in normal form.
func (l *labelled) claim(t testing.TB, at uint64) *assertion.Assertion {
	t.Helper()
	a := &assertion.Assertion{
		Subject: l.Claim.Subject, Predicate: l.Claim.Predicate, Object: l.Claim.Object,
		Confidence: l.Claim.Confidence, SourceMetadata: l.Claim.SourceMetadata, Timestamp: at,
	}
	if err := a.Normalize(); err != nil {
		t.Fatalf("%+v: %v", l.Claim, err)
	}
	return a
}

func (l *labelled) subject() defense.Subject {
	return defense.Subject{Agent: agent(l.Agent), Trust: l.Trust, Bound: l.Bound}
}

// agent makes an agent of a name.
func agent(name string) assertion.AgentID { return blake3.Sum256([]byte(name)) }

// readLabelled reads a set. Half of its lines, by the last bit of their hash,
// are held out: patterns were written looking at the other half only.
func readLabelled(t testing.TB, path string) []labelled {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var set []labelled
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		l := labelled{heldOut: blake3.Sum256(lines.Bytes())[31]&1 == 1}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		set = append(set, l)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return set
}

// judged is a line with its verdict.
type judged struct {
	labelled
	verdict defense.Verdict
}

// inspectAll inspects the set in order, a claim a second.
func inspectAll(t testing.TB, c defense.Config, set []labelled) []judged {
	t.Helper()
	d, err := defense.New(c)
	if err != nil {
		t.Fatal(err)
	}
	const start = 1_780_000_000
	var all []judged
	for i := range set {
		now := uint64(start + i)
		all = append(all, judged{set[i], d.Inspect(set[i].claim(t, now), set[i].subject(), now)})
	}
	return all
}

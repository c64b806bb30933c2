package lens_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// trusted is a TrustSource of a test: agents by name, 0.5 for the rest.
type trusted map[string]float64

func (s trusted) Trust(agent assertion.AgentID, _ string) lens.TrustScore {
	for name, value := range s {
		if agent == assertion.AgentID(blake3.Sum256([]byte(name))) {
			return lens.TrustScore{Value: value, Basis: "test"}
		}
	}
	return lens.TrustScore{Value: 0.5, Basis: "nothing known"}
}

func (trusted) Hash() assertion.Hash { return assertion.Hash{42} }

// withAll gives an input whatever a lens may need.
func withAll(in lens.Input) lens.Input {
	in.Trust, in.Votes, in.SupersededEpochs = trusted{}, map[assertion.Hash][]assertion.Vote{}, map[assertion.Hash]assertion.Hash{}
	in.Truth = believed{}
	return in
}

// believed is a TruthModel that believes a value as much as its voices' agents
// are relied on: 3 for each voice of the agent named, 1 for any other.
type believed struct{ agent string }

func (m believed) Weigh(_ string, values int, voices []lens.TruthVoice) lens.TruthVerdict {
	v := lens.TruthVerdict{Method: "test", Choice: "the only one", Beliefs: make([]float64, values), Weights: make([]lens.TruthWeight, len(voices))}
	var sum float64
	for i, voice := range voices {
		v.Weights[i] = lens.TruthWeight{Reliability: 0.25, Basis: "test", Independence: 1}
		if voice.Agent == assertion.AgentID(blake3.Sum256([]byte(m.agent))) {
			v.Weights[i].Reliability = 0.75
		}
		v.Beliefs[voice.Value] += v.Weights[i].Reliability
		sum += v.Weights[i].Reliability
	}
	for i := range v.Beliefs {
		v.Beliefs[i] /= sum
	}
	return v
}

func (m believed) Hash() assertion.Hash {
	if m.agent == "" {
		return assertion.Hash{}
	}
	return assertion.Hash{43}
}

// x says a with 0.75; y and z say b with 0.25 each: a has 0.75 of 1.25 = 0.6.
// Without a model b wins, by consensus.
func TestGoldenTruth(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b")
	in := input(said{"x", "1", a, assertion.Expert, 0.5, 0, 1}, said{"y", "2", b, assertion.Expert, 0.5, 0, 2}, said{"z", "3", b, assertion.Expert, 0.5, 0, 3})
	r := resolve(t, "truth", in)
	if r.Winner.Object != b || r.Explanation.Lens != "truth" || !strings.Contains(r.Explanation.Decision, "by consensus") {
		t.Errorf("without a model: %+v", r)
	}
	in.Truth = believed{"x"}
	r = resolve(t, "truth", in)
	if r.Winner.Object != a || *r.Explanation.TruthHash != (assertion.Hash{43}) || r.Explanation.Method != "test" {
		t.Errorf("with one: %+v", r)
	}
	near(t, "confidence", r.Confidence, 0.6)
	lens.Explain(in, &r.Explanation)
	for _, w := range r.Explanation.Weights {
		want := 0.25
		if w.Object == a {
			want = 0.75
		}
		near(t, "reliability", w.Truth.Reliability, want)
	}
}

// Two claims for a with weights 0.9 + 0.3 and one for b with 0.8: a has 1.2 of
// 2.0, confidence 0.6. Without votes the tie rule decides: of the supports
// 0.45 × 0.5 + 0.45 × 0.5 = 0.45 for a and 1 × 0.4 = 0.4 for b it is a.
func TestGoldenVotes(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b")
	claims := []said{
		{"x", "1", a, assertion.Expert, 0.5, 0, 1}, {"y", "2", a, assertion.Expert, 0.5, 0, 2}, {"z", "3", b, assertion.Regulatory, 0.4, 0, 3},
	}
	in := input(claims...)
	if r := resolve(t, "votes", in); r.Winner.Object != a || r.Confidence != 0 || !strings.Contains(r.Explanation.Decision, "nobody has voted") {
		t.Errorf("without votes: %+v, %s", r.Winner, r.Explanation.Decision)
	}
	in.Votes = map[assertion.Hash][]assertion.Vote{
		claims[0].claim().Hash: {cast("p", 0.9, 0)}, claims[1].claim().Hash: {cast("q", 0.1, 0), cast("r", 0.2, 0)}, claims[2].claim().Hash: {cast("p", 0.8, 0)},
	}
	r := resolve(t, "votes", in)
	near(t, "score", r.Winner.Score, 1.2)
	near(t, "confidence", r.Confidence, 0.6)
	in.Votes[claims[2].claim().Hash] = []assertion.Vote{cast("p", 0.8, 0), cast("q", 0.5, 0)}
	if r := resolve(t, "votes", in); r.Winner.Object != b {
		t.Errorf("1.3 against 1.2: %+v", r.Winner)
	}
}

// cast is a vote as a lens is given it.
func cast(agent string, weight float64, timestamp uint64) assertion.Vote {
	return assertion.Vote{AgentID: assertion.AgentID(blake3.Sum256([]byte(agent))), Weight: weight, Timestamp: timestamp}
}

// x states a twice on one source; p voted 0.9 on the first claim and 0.2 on the
// second, q 0.5 on the first alone. Of p's votes on a the newest counts, 0.2;
// q's stays though x has spoken again: a has 0.2 + 0.5 = 0.7 of 0.7 + 0.3 = 1.
func TestGoldenVotesOutliveARestatement(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b")
	claims := []said{
		{"x", "1", a, assertion.Expert, 0.5, 9, 1}, {"x", "1", a, assertion.Expert, 0.6, 5, 2}, {"z", "3", b, assertion.Expert, 0.4, 0, 3},
	}
	in := input(claims...)
	in.Votes = map[assertion.Hash][]assertion.Vote{
		claims[0].claim().Hash: {cast("p", 0.9, 10), cast("q", 0.5, 11)}, claims[1].claim().Hash: {cast("p", 0.2, 12)}, claims[2].claim().Hash: {cast("p", 0.3, 13)},
	}
	r := resolve(t, "votes", in)
	if r.Winner.Object != a {
		t.Errorf("%+v", r.Winner)
	}
	near(t, "score", r.Winner.Score, 0.7)
	near(t, "confidence", r.Confidence, 0.7)
	if !strings.Contains(r.Explanation.Decision, "3 votes") {
		t.Error(r.Explanation.Decision)
	}
}

// Stated confidence × trust: x says a, 0.9 × 0.2 = 0.18; y says b, 0.5 × 0.8 =
// 0.4, and again on another source, 0.25 × 0.8 = 0.2. b has 0.6 of 0.78.
// Decay plays no part: the claims for b are old.
func TestGoldenTrust(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b")
	in := input(said{"x", "1", a, assertion.Expert, 0.9, 0, 1}, said{"y", "2", b, assertion.Expert, 0.5, 900 * day, 2}, said{"y", "3", b, assertion.Expert, 0.25, 900 * day, 3})
	in.Trust = trusted{"x": 0.2, "y": 0.8}
	r := resolve(t, "trust", in)
	if r.Winner.Object != b || *r.Explanation.TrustHash != (assertion.Hash{42}) {
		t.Errorf("%+v", r.Winner)
	}
	near(t, "score", r.Winner.Score, 0.6)
	near(t, "confidence", r.Confidence, 0.6/0.78)
}

// The newest claim of x belongs to an epoch that was replaced; without it x
// speaks by the claim before.
func TestEpochUncoversEarlierClaims(t *testing.T) {
	old, current := assertion.Hash{1}, assertion.Hash{2}
	first, second, other := said{"x", "1", assertion.Text("a"), assertion.Expert, 0.5, 20, 1}.claim(),
		said{"x", "1", assertion.Text("b"), assertion.Expert, 0.5, 10, 2}.claim(), said{"y", "2", assertion.Text("a"), assertion.Expert, 0.5, 30, 3}.claim()
	second.Epoch, other.Epoch = &old, &current
	in := withAll(lens.FromClaims("s", "p", []*assertion.Claim{first, second, other}, at, lens.Grouping{}))
	if r := resolve(t, "epoch,consensus", in); r.Explanation.Values != 2 {
		t.Errorf("nothing superseded: %d values", r.Explanation.Values)
	}
	in.SupersededEpochs = map[assertion.Hash]assertion.Hash{old: current}
	r := resolve(t, "epoch,consensus", in)
	if r.Winner.Object != assertion.Text("a") || r.Winner.Voices != 2 || !strings.Contains(r.Explanation.Decision, "1 claim of superseded epochs left out") {
		t.Errorf("%+v: %s", r.Winner, r.Explanation.Decision)
	}
}

// must_use TLS: Regulatory 0.8 × 1 = 0.8. forbidden TLS: Expert 0.8 × 0.45 =
// 0.36; shares 0.8/1.16 and 0.36/1.16, entropy 0.6191…, over ln 2: see below.
// forbidden MD5 has nothing against it. requires SHA-1 by Community 0.5 × 0.25
// = 0.125 is overruled by forbidden 0.45 × 0.5 = 0.225.
func TestGoldenConstraints(t *testing.T) {
	tls, md5, sha := assertion.Reference("TLS"), assertion.Reference("MD5"), assertion.Reference("SHA-1")
	tally := func(all ...said) *assertion.Tally { return input(all...).Tally }
	result := lens.Constraints(map[string]*assertion.Tally{
		lens.MustUse: tally(said{"r", "1", tls, assertion.Regulatory, 0.8, 0, 1}),
		lens.Forbidden: tally(said{"e", "2", tls, assertion.Expert, 0.8, 0, 2}, said{"e", "2b", md5, assertion.Expert, 0.9, 0, 3},
			said{"f", "3", sha, assertion.Expert, 0.5, 0, 4}),
		lens.Requires: tally(said{"c", "4", sha, assertion.Community, 0.5, 0, 5}),
	})
	verdicts := map[assertion.ObjectValue]lens.Verdict{}
	for _, c := range result.Constraints {
		verdicts[c.Object] = c.Verdict
		if len(c.Reasons) != len(c.Sides) {
			t.Errorf("%s: reasons %q", c.Object, c.Reasons)
		}
	}
	if verdicts[tls] != lens.VerdictMustUse || verdicts[md5] != lens.VerdictForbidden || verdicts[sha] != lens.VerdictForbidden {
		t.Errorf("verdicts %v", verdicts)
	}
	p, q := 0.8/1.16, 0.36/1.16
	near(t, "conflict", result.Constraints[0].ConflictScore, -(p*math.Log(p)+q*math.Log(q))/math.Ln2)
	if len(result.Conflicts) != 2 {
		t.Errorf("conflicts %q", result.Conflicts)
	}
	l, err := lens.Parse("constraints")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Resolve(input(nausea()...)); !errors.Is(err, lens.ErrNotForQuestion) {
		t.Errorf("on nausea_rate: %v", err)
	}
}

// 44.2 has the largest support and takes in 44.0 and 44.5 within 0.3; 44.7 is
// 0.5 away from it and stays, although it is near to 44.5.
func TestToleranceIsAroundTheStrongest(t *testing.T) {
	value := func(f float64, agent string, confidence float64) said {
		return said{agent, "1", assertion.Number(f), assertion.Expert, confidence, 0, 1}
	}
	all := []said{value(44.0, "a", 0.5), value(44.2, "b", 0.9), value(44.5, "c", 0.5), value(44.7, "d", 0.5)}
	claims := make([]*assertion.Claim, len(all))
	for i, s := range all {
		claims[i] = s.claim()
	}
	in := lens.FromClaims("Semaglutide", "nausea_rate", claims, at, lens.Grouping{Tolerance: lens.Tolerance{Absolute: 0.3}})
	r := resolve(t, "consensus", in)
	if r.Winner.Object != assertion.Number(44.2) || r.Winner.Voices != 3 || r.Explanation.Values != 2 {
		t.Errorf("%+v of %d values", r.Winner, r.Explanation.Values)
	}
	if joined := r.Explanation.Joined; len(joined) != 1 || joined[0].Object != assertion.Number(44.2) || len(joined[0].Values) != 2 {
		t.Errorf("joined %+v", joined)
	}
	if claims[0].Object != assertion.Number(44.0) {
		t.Error("a claim that was read was changed")
	}
	for text, want := range map[string]lens.Tolerance{"0.5": {Absolute: 0.5}, "1%": {Relative: 0.01}, "0": {}} {
		if got, err := lens.ParseTolerance(text); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "x", "100%", "NaN", "Inf", "1%%"} {
		if got, err := lens.ParseTolerance(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// Minnesota contains Minneapolis and Duluth. Minneapolis is the stronger of the
// two, so that Minnesota's voices count for it; Duluth contradicts it; Oslo is
// elsewhere.
func TestHierarchyJoinsGeneralWithSpecific(t *testing.T) {
	at := func(path, agent string, confidence float64) said {
		return said{agent, "1", assertion.Text(path), assertion.Expert, confidence, 0, 1}
	}
	all := []said{at("geo://us/mn", "a", 0.9), at("geo://us/mn/minneapolis", "b", 0.4), at("geo://us/mn/duluth", "c", 0.3), at("geo://no/oslo", "d", 0.5)}
	plain := resolve(t, "skeptic", input(all...))
	if plain.Winner.Object != assertion.Text("geo://us/mn") || plain.Explanation.Values != 4 {
		t.Errorf("without hierarchy: %+v", plain.Winner)
	}
	var claims []*assertion.Claim
	for _, s := range all {
		claims = append(claims, s.claim())
	}
	r := resolve(t, "skeptic", lens.FromClaims("s", "p", claims, 1_800_000_000, lens.Grouping{Hierarchy: true}))
	if r.Winner.Object != assertion.Text("geo://us/mn/minneapolis") || r.Explanation.Values != 3 || r.Winner.Voices != 2 {
		t.Errorf("with hierarchy: %+v of %d values", r.Winner, r.Explanation.Values)
	}
	if r.Conflict.Score >= plain.Conflict.Score {
		t.Errorf("conflict %g, without hierarchy %g", r.Conflict.Score, plain.Conflict.Score)
	}
	named := lens.Grouping{Hierarchy: true, Path: func(name string) string {
		return map[string]string{"Minnesota": "geo://us/mn", "Minneapolis": "geo://us/mn/minneapolis"}[name]
	}}
	byName := []*assertion.Claim{at("Minnesota", "a", 0.9).claim(), at("Minneapolis", "b", 0.1).claim()}
	if r := resolve(t, "skeptic", lens.FromClaims("s", "p", byName, 1_800_000_000, named)); r.Winner.Object != assertion.Text("Minneapolis") || r.Conflict.Status != lens.Unanimous {
		t.Errorf("by name: %+v, %+v", r.Winner, r.Conflict)
	}
}

// The voices of an explanation carry what the answer rests on: their supports
// add up to those of the values.
func TestExplainListsTheVoices(t *testing.T) {
	in := input(nausea()...)
	r := resolve(t, "skeptic", in)
	lens.Explain(in, &r.Explanation)
	sums := map[assertion.ObjectValue]float64{}
	for _, w := range r.Explanation.Weights {
		sums[w.Counted] += w.Support
		near(t, "effective", w.Effective, w.Confidence*w.Decay)
	}
	for _, c := range append(slices.Clone(r.RunnersUp), *r.Winner) {
		near(t, c.Object.String(), sums[c.Object], c.Support)
	}
	if len(r.Explanation.Weights) != len(nausea()) || r.Explanation.Unlisted != 0 {
		t.Errorf("%d voices, %d unlisted", len(r.Explanation.Weights), r.Explanation.Unlisted)
	}
}

// Every lens is described with a formula.
func TestEveryLensIsDescribed(t *testing.T) {
	all := lens.Describe()
	if len(all) != len(lens.All()) {
		t.Fatalf("%d descriptions of %d lenses", len(all), len(lens.All()))
	}
	for i, d := range all {
		if d.Name != lens.Names()[i] || d.Rule == "" || d.Formula == "" {
			t.Errorf("%+v", d)
		}
		if _, err := lens.Parse(d.Name); err != nil {
			t.Error(err)
		}
	}
}

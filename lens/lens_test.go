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

const (
	day = 86400
	at  = uint64(1_800_000_000)
)

// said is one claim of a test: who says what, on which source.
type said struct {
	agent, source string
	value         assertion.ObjectValue
	class         assertion.SourceClass
	confidence    float64
	age           uint64 // seconds before at
	index         uint64 // log index
}

func (s said) claim() *assertion.Claim {
	c := &assertion.Claim{
		Assertion: assertion.Assertion{
			Subject: "Semaglutide", Predicate: "nausea_rate", Object: s.value, Confidence: s.confidence,
			SourceClass: s.class, SourceHash: blake3.Sum256([]byte(s.source)), Timestamp: at - s.age,
			Signatures: []assertion.Signature{{AgentID: blake3.Sum256([]byte(s.agent)), Version: assertion.SignatureV2}},
		},
		Commit: assertion.Commit{Position: assertion.Position{Index: s.index}, At: at},
	}
	c.Hash = c.ContentHash()
	c.SignatureCommits = []assertion.Commit{c.Commit}
	return c
}

func input(all ...said) lens.Input {
	claims := make([]*assertion.Claim, len(all))
	for i, s := range all {
		claims[i] = s.claim()
	}
	return withAll(lens.FromClaims("Semaglutide", "nausea_rate", claims, at, lens.Grouping{}))
}

func resolve(t *testing.T, name string, in lens.Input) *lens.Resolution {
	t.Helper()
	l, err := lens.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Resolve(in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12*max(1, math.Abs(want)) {
		t.Errorf("%s = %.17g, want %.17g", what, got, want)
	}
}

// nausea is the question of docs/lenses.md. Six voices, three values; the six
// lenses come to three different winners. By the definitions:
//
//	               value  confidence × decay                 class (weight)
//	label           20.3  0.95                               Regulatory (1.00)
//	trial A         44.2  0.90 × 0.5^(365/730) = 0.636396103 Clinical (0.85)
//	trial B         44.2  0.80                               Clinical (0.85)
//	forum 1         60    0.60 × 0.5^(30/30)   = 0.30        Anecdotal (0.10)
//	forum 2         60    0.50                               Anecdotal (0.10)
//	forum 3         60    0.40                               Anecdotal (0.10)
//
//	support(20.3) = 0.95 × 1.00                = 0.95
//	support(44.2) = (0.636396103 + 0.80) × 0.85 = 1.220936687607709
//	support(60)   = (0.30 + 0.50 + 0.40) × 0.10 = 0.12
//	total                                       = 2.290936687607709
func nausea() []said {
	label, trials, forum := assertion.Number(20.3), assertion.Number(44.2), assertion.Number(60)
	return []said{
		{"regulator", "label", label, assertion.Regulatory, 0.95, 100 * day, 10},
		{"lab A", "trial A", trials, assertion.Clinical, 0.90, 365 * day, 11},
		{"lab B", "trial B", trials, assertion.Clinical, 0.80, 0, 12},
		{"patient 1", "forum", forum, assertion.Anecdotal, 0.60, 30 * day, 13},
		{"patient 2", "forum", forum, assertion.Anecdotal, 0.50, 0, 14},
		{"patient 3", "forum", forum, assertion.Anecdotal, 0.40, 0, 15},
	}
}

func TestGoldenNausea(t *testing.T) {
	in := input(nausea()...)
	tests := []struct {
		lens       string
		order      []float64 // values, best first
		scores     []float64
		confidence float64
		tie        string
		decision   string
	}{
		// Trial B and two patients share the newest timestamp; patient 3 has the
		// highest log index. Confidence: 0.40, that of the winning claim.
		{"recency", []float64{60, 44.2, 20.3}, []float64{1.8e9, 1.8e9, 1.8e9 - 100*day}, 0.40, "log_index", "log index 15"},
		// 3, 2 and 1 voices of 6.
		{"consensus", []float64{60, 44.2, 20.3}, []float64{3, 2, 1}, 0.5, "", `3 of 6 voices say "60"`},
		// The single highest effective confidences: 0.95, 0.80, 0.50.
		{"confidence", []float64{20.3, 44.2, 60}, []float64{0.95, 0.80, 0.50}, 0.95, "", "0.95"},
		// Classes 0, 1, 5; within each value's class the highest confidence.
		{"authority", []float64{20.3, 44.2, 60}, []float64{0.95, 0.80, 0.50}, 0.95, "", "Regulatory is the strongest"},
		// The strongest class has one value, whose share there is 1; the others by support.
		{"layered", []float64{20.3, 44.2, 60}, []float64{1, 0, 0}, 1, "", "Regulatory is the strongest of 3 tiers"},
		// Shares: 1.220936687607709, 0.95 and 0.12 of 2.290936687607709.
		{"skeptic", []float64{44.2, 20.3, 60}, []float64{0.5329421341986809, 0.4146775444030404, 0.052380321398278785},
			0.5329421341986809, "", `"44.2" has the largest share`},
	}
	for _, test := range tests {
		t.Run(test.lens, func(t *testing.T) {
			r := resolve(t, test.lens, in)
			ranked := append([]lens.Candidate{*r.Winner}, r.RunnersUp...)
			if len(ranked) != len(test.order) {
				t.Fatalf("%d candidates, want %d", len(ranked), len(test.order))
			}
			for i, c := range ranked {
				if want := assertion.Number(test.order[i]); c.Object != want {
					t.Errorf("candidate %d is %s, want %s", i, c.Object, want)
				}
				near(t, "score", c.Score, test.scores[i])
			}
			near(t, "confidence", r.Confidence, test.confidence)
			// Entropy of the shares: 0.8549060060452077 / ln 3 = 0.7781689817812282.
			near(t, "conflict score", r.Conflict.Score, 0.7781689817812282)
			near(t, "disagreement", r.Conflict.Disagreement, 1-0.5329421341986809)
			if r.Conflict.Status != lens.Contested {
				t.Errorf("status %s", r.Conflict.Status)
			}
			e := r.Explanation
			if e.Lens != test.lens || e.Voices != 6 || e.Values != 3 || e.At != at || e.TieBreak != test.tie || e.Source != lens.FromScan {
				t.Errorf("explanation %+v", e)
			}
			if !strings.Contains(e.Decision, test.decision) {
				t.Errorf("decision %q lacks %q", e.Decision, test.decision)
			}
		})
	}
}

func TestSupportOfEachTier(t *testing.T) {
	r := lens.Skeptic(input(nausea()...))
	trials := r.Values[0]
	if len(trials.Tiers) != 1 || trials.Tiers[0].Class != assertion.Clinical || trials.Tiers[0].Voices != 2 {
		t.Fatalf("tiers %+v", trials.Tiers)
	}
	near(t, "confidence", trials.Tiers[0].Confidence, 0.9*math.Sqrt(0.5)+0.8)
	near(t, "support", trials.Tiers[0].Support, 1.220936687607709)
	near(t, "support", trials.Support, 1.220936687607709)
}

func TestGoldenLayered(t *testing.T) {
	r := lens.Layered(input(nausea()...))
	if r.Winner.Object != assertion.Number(20.3) {
		t.Errorf("overall winner %s", r.Winner.Object)
	}
	// Three tiers, three winners, weights 1.00, 0.85, 0.10 of 1.95: shares
	// 0.512820513, 0.435897436, 0.051282051; entropy 0.8567522440487392 / ln 3.
	near(t, "cross-tier conflict", r.CrossTierConflict, 0.7798495000337318)
	if len(r.Tiers) != 3 {
		t.Fatalf("%d tiers", len(r.Tiers))
	}
	for i, want := range []struct {
		class   assertion.SourceClass
		value   float64
		voices  uint64
		support float64
	}{
		{assertion.Regulatory, 20.3, 1, 0.95},
		{assertion.Clinical, 44.2, 2, 1.220936687607709},
		{assertion.Anecdotal, 60, 3, 0.12},
	} {
		got := r.Tiers[i]
		if got.Class != want.class || got.Winner.Object != assertion.Number(want.value) || got.Voices != want.voices || got.Values != 1 {
			t.Errorf("tier %d: %+v", i, got)
		}
		near(t, "support", got.Winner.Support, want.support)
		near(t, "share", got.Winner.Share, 1)
		if got.Conflict.Score != 0 || got.Conflict.Status != lens.Unanimous {
			t.Errorf("tier %d: conflict %+v", i, got.Conflict)
		}
	}
}

// Two clinical values of support 0.9 × 0.85 and 0.3 × 0.85: shares 0.75 and
// 0.25 in the tier, entropy 0.5623351446188083 / ln 2 = 0.8112781244591328.
// Experts agree with the winner: no conflict across tiers.
func TestLayeredConflictWithinATier(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b")
	r := lens.Layered(input(
		said{"x", "1", a, assertion.Clinical, 0.9, 0, 1},
		said{"y", "2", b, assertion.Clinical, 0.3, 0, 2},
		said{"z", "3", a, assertion.Expert, 0.5, 0, 3},
	))
	near(t, "share", r.Tiers[0].Winner.Share, 0.75)
	near(t, "conflict", r.Tiers[0].Conflict.Score, 0.8112781244591328)
	if r.CrossTierConflict != 0 {
		t.Errorf("cross-tier conflict %g among tiers that agree", r.CrossTierConflict)
	}
}

// 9 voices of equal support for one value, 1 for another: shares 0.9 and 0.1,
// entropy 0.3250829733914482 / ln 2 = 0.4689955935892812, below 0.5.
func TestStatusAgreed(t *testing.T) {
	var all []said
	for i := range 10 {
		value := assertion.Text("most")
		if i == 9 {
			value = assertion.Text("one")
		}
		all = append(all, said{string(rune('a' + i)), "s", value, assertion.Expert, 0.5, 0, uint64(i + 1)})
	}
	r := lens.Skeptic(input(all...))
	near(t, "conflict", r.Conflict.Score, 0.4689955935892812)
	near(t, "disagreement", r.Conflict.Disagreement, 0.1)
	if r.Conflict.Status != lens.Agreed {
		t.Errorf("status %s", r.Conflict.Status)
	}
}

func TestSingleValueIsUnanimous(t *testing.T) {
	in := input(
		said{"x", "1", assertion.Boolean(true), assertion.Community, 0.3, 5 * day, 1},
		said{"y", "2", assertion.Boolean(true), assertion.Expert, 0, 0, 2},
	)
	in.Predicate = lens.MustUse // which every lens answers
	for _, name := range lens.Names() {
		r := resolve(t, name, in)
		if r.Conflict.Status != lens.Unanimous || r.Conflict.Score != 0 || r.Conflict.Disagreement != 0 {
			t.Errorf("%s: %+v", name, r.Conflict)
		}
		if len(r.RunnersUp) != 0 || r.Explanation.TieBreak != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Claims of confidence 0 have no support; shares are then those of the voices:
// 2 of 3 and 1 of 3, entropy 0.6365141682948128 / ln 2 = 0.9182958340544896.
func TestSharesWithoutSupport(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b")
	r := lens.Skeptic(input(
		said{"x", "1", a, assertion.Expert, 0, 0, 1},
		said{"y", "1", a, assertion.Expert, 0, 0, 2},
		said{"z", "1", b, assertion.Regulatory, 0, 0, 3},
	))
	near(t, "share", r.Values[0].Share, 2.0/3)
	near(t, "share", r.Values[1].Share, 1.0/3)
	near(t, "conflict", r.Conflict.Score, 0.9182958340544896)
	if r.Values[0].Object != a {
		t.Errorf("first is %s", r.Values[0].Object)
	}
}

func TestNoClaims(t *testing.T) {
	in := input()
	in.Predicate = lens.MustUse // which every lens answers
	for _, name := range lens.Names() {
		r := resolve(t, name, in)
		if r.Winner != nil || r.Confidence != 0 || r.Conflict.Status != lens.NoClaims || r.Explanation.Decision == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := lens.Layered(input()); r.Winner != nil || len(r.Tiers) != 0 || r.CrossTierConflict != 0 {
		t.Errorf("layered: %+v", r)
	}
}

func TestVoiceCountsOnceWithItsNewestClaim(t *testing.T) {
	old, restated := assertion.Text("old"), assertion.Text("new")
	in := input(
		said{"x", "s", old, assertion.Regulatory, 1, 10, 1},
		said{"x", "s", restated, assertion.Regulatory, 0.2, 5, 2},
		said{"y", "s", restated, assertion.Regulatory, 0.1, 20, 3},
	)
	if len(in.Claims) != 2 {
		t.Fatalf("%d current claims, want 2", len(in.Claims))
	}
	in.Predicate = lens.MustUse // which every lens answers
	for _, name := range lens.Names() {
		r := resolve(t, name, in)
		if r.Winner.Object != restated || len(r.RunnersUp) != 0 || r.Winner.Voices != 2 {
			t.Errorf("%s: a claim that its voice replaced still counts: %+v", name, r.Winner)
		}
	}
}

func TestTieRuleChain(t *testing.T) {
	a, b := assertion.Text("a"), assertion.Text("b") // canonical bytes: a before b
	tests := []struct {
		name, lens, tie string
		claims          []said
		want            assertion.ObjectValue
	}{
		{"larger support", "consensus", "support", []said{
			{"x", "1", a, assertion.Expert, 0.4, 0, 1}, {"y", "2", b, assertion.Expert, 0.5, 9, 2}}, b},
		{"then newest", "consensus", "newest", []said{
			{"x", "1", a, assertion.Regulatory, 0.5, 9, 1}, {"y", "2", b, assertion.Regulatory, 0.5, 8, 2}}, b},
		{"then canonical bytes", "consensus", "canonical_bytes", []said{
			{"x", "1", b, assertion.Expert, 0.5, 0, 1}, {"y", "2", a, assertion.Expert, 0.5, 0, 2}}, a},
		{"confidence by support", "confidence", "support", []said{
			{"x", "1", a, assertion.Expert, 0.5, 0, 1}, {"y", "2", b, assertion.Expert, 0.5, 0, 2}, {"z", "3", b, assertion.Expert, 0.1, 0, 3}}, b},
		{"authority by newest", "authority", "newest", []said{
			{"x", "1", a, assertion.Regulatory, 0.5, 9, 1}, {"y", "2", b, assertion.Regulatory, 0.5, 8, 2}}, b},
		{"authority without a tie between classes", "authority", "", []said{
			{"x", "1", b, assertion.Clinical, 0.5, 0, 1}, {"y", "2", a, assertion.Expert, 0.5, 0, 2}}, b},
		{"skeptic by newest", "skeptic", "newest", []said{
			{"x", "1", a, assertion.Regulatory, 0.5, 9, 1}, {"y", "2", b, assertion.Regulatory, 0.5, 8, 2}}, b},
		{"layered by canonical bytes", "layered", "canonical_bytes", []said{
			{"x", "1", b, assertion.Expert, 0.5, 0, 1}, {"y", "2", a, assertion.Expert, 0.5, 0, 2}}, a},
		{"recency by log index", "recency", "log_index", []said{
			{"x", "1", b, assertion.Expert, 0.1, 0, 2}, {"y", "2", a, assertion.Expert, 0.9, 0, 1}}, b},
		// 0.1 + 0.1 + 0.1 and 0.3 differ in their last bit; as supports they tie.
		{"sums that differ by rounding only", "skeptic", "newest", []said{
			{"x", "1", a, assertion.Regulatory, 0.1, 9, 1}, {"y", "2", a, assertion.Regulatory, 0.1, 9, 2},
			{"z", "3", a, assertion.Regulatory, 0.1, 9, 3}, {"w", "4", b, assertion.Regulatory, 0.3, 8, 4}}, b},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // in either order of claims
				r := resolve(t, test.lens, input(test.claims...))
				if r.Winner.Object != test.want || r.Explanation.TieBreak != test.tie {
					t.Errorf("winner %s by %q, want %s by %q", r.Winner.Object, r.Explanation.TieBreak, test.want, test.tie)
				}
				slices.Reverse(test.claims)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	for _, name := range []string{"recency", "consensus", "confidence", "authority", "votes", "trust", "layered", "skeptic", "constraints", "epoch,votes"} {
		if l, err := lens.Parse(name); err != nil || l.Name() != name || l.Rule() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l, err := lens.Parse("epoch"); err != nil || l.Name() != "epoch,recency" {
		t.Errorf("epoch alone: %v", err)
	}
	for _, spec := range []string{"", "recency,consensus", "epoch,epoch,recency", "epoch,", "recency,epoch", "epoch,majority"} {
		if l, err := lens.Parse(spec); err == nil {
			t.Errorf("%q is read as %s", spec, l.Name())
		}
	}
	_, err := lens.Parse("majority")
	if !errors.Is(err, lens.ErrUnknownLens) || !strings.Contains(err.Error(), "recency, consensus, confidence") {
		t.Errorf("error %v", err)
	}
}

func TestRecencyRefusesATallyWithoutClaims(t *testing.T) {
	in := input(nausea()...)
	in.Claims = nil
	l, err := lens.Parse("recency")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Resolve(in); err == nil {
		t.Error("no error")
	}
}

// Of several claims for a value with the same effective confidence, the newest
// is named as the one that decided.
func TestStrongestClaimIsTheNewestOfEquals(t *testing.T) {
	a := assertion.Text("a")
	older, newer := said{"x", "1", a, assertion.Regulatory, 0.5, 9, 1}, said{"y", "2", a, assertion.Regulatory, 0.5, 8, 2}
	for _, name := range []string{"confidence", "authority"} {
		r := resolve(t, name, input(older, newer))
		if want := newer.claim().Hash; r.Winner.Claim == nil || *r.Winner.Claim != want {
			t.Errorf("%s: decided by %v, want %s", name, r.Winner.Claim, want)
		}
	}
}

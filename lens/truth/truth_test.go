package truth

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

func near(t testing.TB, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

// PopAccu by hand. Two voices for a with accuracy 0.8 and 0.6, one for b with
// 0.9; every weight 1, so n(a) = 2, n(b) = 1, n = 3.
//
//	a true: 0.8 × 0.6 × (1 − 0.9) × 1/(3 − 2) = 0.048
//	b true: 0.9 × (1 − 0.8) × (1 − 0.6) × (2/(3 − 1))² = 0.072
//	P(a) = 0.048 / 0.12 = 0.4
func TestPopAccuWorked(t *testing.T) {
	got := popAccu{}.beliefs(2, []weighed{{0, 0.8, 1}, {0, 0.6, 1}, {1, 0.9, 1}}, 0)
	near(t, "P(a)", got[0], 0.4)
	near(t, "P(b)", got[1], 0.6)
}

// With three values a popular mistake is no surprise. a and b have one voice
// each, c has two, all of accuracy 0.5; n = 4. The powers of 0.5 are the same for
// each value, so only the popularity of the others counts:
//
//	a true: (1/3) × (2/3)² = 4/27, b the same, c true: (1/2) × (1/2) = 1/4
func TestPopAccuPopularity(t *testing.T) {
	got := popAccu{}.beliefs(3, []weighed{{0, 0.5, 1}, {1, 0.5, 1}, {2, 0.5, 1}, {2, 0.5, 1}}, 0)
	total := 4.0/27 + 4.0/27 + 1.0/4
	near(t, "P(a)", got[0], 4.0/27/total)
	near(t, "P(c)", got[2], 1.0/4/total)
}

// Accu by hand, 10 wrong values: odds of a are (10 × 0.8/0.2) × (10 × 0.6/0.4) =
// 40 × 15 = 600, those of b 10 × 0.9/0.1 = 90.
func TestAccuWorked(t *testing.T) {
	got := accu{}.beliefs(2, []weighed{{0, 0.8, 1}, {0, 0.6, 1}, {1, 0.9, 1}}, 0)
	near(t, "P(a)", got[0], 600.0/690)
}

// PooledInvestment by hand: H(a) = 1 + 0.5 = 1.5, H(b) = 0.5. H^1.4 = 1.764119…
// and 0.378929…; B(a) = 1.5 × 1.764119/2.143048 and B(b) = 0.5 × 0.378929/2.143048.
// The voice of rate 0.5 for a gets back B(a)/H(a) × 0.5.
func TestPooledInvestmentWorked(t *testing.T) {
	a, b := math.Pow(1.5, 1.4), math.Pow(0.5, 1.4)
	voices := []weighed{{0, 1, 1}, {0, 0.5, 1}, {1, 0.5, 1}}
	got := pooledInvestment{}.beliefs(2, voices, 0)
	wantA, wantB := 1.5*a/(a+b), 0.5*b/(a+b)
	near(t, "B(a)", got[0], wantA/(wantA+wantB))
	near(t, "return", pooledInvestment{}.credit(voices[1], got, []float64{1.5, 0.5}), 0.5*a/(a+b))
}

// CRH by hand: losses 0.1, 0.2 and 0.2 sum to 0.5, so that the weights are
// −ln(0.2) = ln 5 and −ln(0.4) = ln 2.5 twice. a has ln 5, b has 2 ln 2.5 = ln 6.25.
func TestCRHWorked(t *testing.T) {
	got := crh{}.beliefs(2, []weighed{{0, 0.9, 1}, {1, 0.8, 1}, {1, 0.8, 1}}, 0.5)
	near(t, "a", got[0], math.Log(5)/(math.Log(5)+math.Log(6.25)))
	if credit := (crh{}).credit(weighed{value: 1}, got, nil); credit != 1 {
		t.Errorf("the winner's voice earns %v", credit)
	}
	if credit := (crh{}).credit(weighed{value: 0}, got, nil); credit != 0 {
		t.Errorf("the loser's voice earns %v", credit)
	}
}

// Three voices for one value, two of them dependent for certain (0.8 is copied):
// each of the two counts 1/(1 + 0.8), the third whole. An agent that says the
// same on two sources is its own copy.
func TestIndependenceWorked(t *testing.T) {
	c := &copying{pairs: map[pair]float64{{0, 1}: 1}}
	p := &problem{questions: []question{{voices: []voice{{agent: 0}, {agent: 1}, {agent: 2}, {agent: 2, value: 1}}}}}
	for i, want := range []float64{1 / 1.8, 1 / 1.8, 1, 1} {
		near(t, fmt.Sprint("voice ", i), c.weights(p)[0][i], want)
	}
	p.questions[0].voices[3].value = 0
	near(t, "the second voice of one agent", c.weights(p)[0][3], 1/1.8)
}

func agentNamed(name string) assertion.AgentID {
	seed := blake3.Sum256([]byte(name))
	return assertion.AgentOf(ed25519.NewKeyFromSeed(seed[:]))
}

// world is a made-up world whose right answers are known.
type world struct {
	claims []*assertion.Claim // oldest first
}

func (w *world) says(agent, subject, predicate, value string) {
	at := assertion.Commit{Position: assertion.Position{Index: uint64(len(w.claims) + 1)}, At: 1000}
	a := assertion.Assertion{Subject: subject, Predicate: predicate, Object: assertion.Text(value), Confidence: 1, Timestamp: 1000,
		SourceHash: blake3.Sum256([]byte(agent)), Signatures: []assertion.Signature{{AgentID: agentNamed(agent), Version: 2}}}
	w.claims = append(w.claims, &assertion.Claim{Assertion: a, Hash: a.ContentHash(), Commit: at, SignatureCommits: []assertion.Commit{at}})
}

func (w *world) learn(t rapid.TB, labels ...assertion.Recorded[*assertion.Label]) *Model {
	t.Helper()
	return w.learnBy(t, "", labels)
}

// learnBy learns by one method, or "" for the choice.
func (w *world) learnBy(t rapid.TB, only string, labels []assertion.Recorded[*assertion.Label]) *Model {
	t.Helper()
	b := NewBuilder(labels)
	b.Only = only
	for _, c := range slices.Backward(w.claims) {
		b.Add(c)
	}
	m, err := b.Learn(9, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func label(index uint64, subject, predicate, value string) assertion.Recorded[*assertion.Label] {
	return assertion.Recorded[*assertion.Label]{Entry: &assertion.Label{Subject: subject, Predicate: predicate, Object: assertion.Text(value)},
		Commit: assertion.Commit{Position: assertion.Position{Index: index}, At: 1000}}
}

// copied is a world in which six reliable agents are right where they speak,
// and a careless one is copied by four others, mistakes and all.
func copied() *world {
	w := &world{}
	for i := range 60 {
		subject := fmt.Sprint("s", i)
		for j := range 6 {
			value := "right"
			if (i+7*j)%20 == 0 { // each is wrong at times, on its own
				value = fmt.Sprint("slip", j)
			}
			w.says(fmt.Sprint("careful", j), subject, "p", value)
		}
		for j := range 5 {
			value := "right"
			if i%3 == 0 {
				value = fmt.Sprint("rumour", i)
			}
			w.says(fmt.Sprint("copy", j), subject, "p", value)
		}
	}
	return w
}

// Five that copy each other outvote two honest ones who speak on a question;
// the model has seen that the five share their mistakes, and believes the two.
func TestCopiesAreDiscounted(t *testing.T) {
	m := copied().learn(t)
	voices := []lens.TruthVoice{}
	for j := range 2 {
		voices = append(voices, lens.TruthVoice{Agent: agentNamed(fmt.Sprint("careful", j)), Value: 0, Confidence: 1})
	}
	for j := range 5 {
		voices = append(voices, lens.TruthVoice{Agent: agentNamed(fmt.Sprint("copy", j)), Value: 1, Confidence: 1})
	}
	verdict := m.Weigh("p", 2, voices)
	if verdict.Beliefs[0] < 0.9 {
		t.Errorf("the honest value is believed with %v", verdict.Beliefs)
	}
	if got := verdict.Weights[0].Independence; got != 1 {
		t.Errorf("an honest voice counts %v", got)
	}
	if got := verdict.Weights[2].Independence; got > 0.3 {
		t.Errorf("one of five copies counts %v", got)
	}
	if verdict.Method != "popaccu" || verdict.Choice == "" {
		t.Errorf("method %q chosen because %q", verdict.Method, verdict.Choice)
	}
	careful, copier := verdict.Weights[0].Reliability, verdict.Weights[2].Reliability
	if careful < 0.85 || copier > 0.8 {
		t.Errorf("reliability %v and %v", careful, copier)
	}
}

// Who is reliable on one predicate need not be on another.
func TestReliabilityIsPerPredicate(t *testing.T) {
	w := &world{}
	for i := range 100 {
		for j := range 5 {
			for _, predicate := range []string{"p", "q"} {
				value := "right"
				if j == 0 && predicate == "q" {
					value = "wrong"
				}
				w.says(fmt.Sprint("a", j), fmt.Sprint("s", i), predicate, value)
			}
		}
	}
	m := w.learn(t)
	p, _ := m.method("p")
	q, _ := m.method("q")
	onP, _ := m.rate(agentNamed("a0"), p)
	onQ, _ := m.rate(agentNamed("a0"), q)
	if onP < 0.85 || onQ > 0.25 {
		t.Errorf("reliability %v on p, %v on q", onP, onQ)
	}
}

// Where labels show that the majority is wrong and the default method with it,
// another method takes its place, and the answer says so.
func TestLabelsChooseTheMethod(t *testing.T) {
	w := &world{}
	var labels []assertion.Recorded[*assertion.Label]
	for i := range 80 {
		subject := fmt.Sprint("s", i)
		for j := range 2 {
			w.says(fmt.Sprint("expert", j), subject, "p", fmt.Sprint("right", i))
		}
		for j := range 6 { // unlike copies they err apart from each other in what is not labelled
			w.says(fmt.Sprint("crowd", j), subject, "p", "common")
		}
	}
	for i := range 40 {
		labels = append(labels, label(uint64(len(w.claims)+1+i), fmt.Sprint("s", i), "p", fmt.Sprint("right", i)))
	}
	m := w.learn(t, labels...)
	voices := []lens.TruthVoice{{Agent: agentNamed("expert0"), Value: 0, Confidence: 1}}
	for j := range 6 {
		voices = append(voices, lens.TruthVoice{Agent: agentNamed(fmt.Sprint("crowd", j)), Value: 1, Confidence: 1})
	}
	verdict := m.Weigh("p", 2, voices)
	if verdict.Beliefs[0] < 0.5 {
		t.Errorf("the labelled side is believed with %v by %s (%s)", verdict.Beliefs[0], verdict.Method, verdict.Choice)
	}
	p, _ := m.method("p")
	if p.Labels != 40 || p.Basis != "predicate" || p.Right < p.Fallback || p.Right < 30 {
		t.Errorf("the choice is %+v", p)
	}
}

// What is said after the label may repeat it, and earns nothing.
func TestWhoRepeatsALabelEarnsNothing(t *testing.T) {
	w := &world{}
	var labels []assertion.Recorded[*assertion.Label]
	for i := range 12 {
		w.says("honest", fmt.Sprint("s", i), "p", "right")
		w.says("other", fmt.Sprint("s", i), "p", "right")
		labels = append(labels, label(uint64(len(w.claims)), fmt.Sprint("s", i), "p", "right"))
	}
	before := len(w.claims)
	for i := range 12 {
		w.says("parrot", fmt.Sprint("s", i), "p", "right")
	}
	if before == len(w.claims) {
		t.Fatal("nothing was repeated")
	}
	for i := range labels {
		labels[i].Commit.Index = uint64(before)
	}
	m := w.learn(t, labels...)
	p, _ := m.method("p")
	honest, _ := m.rate(agentNamed("honest"), p)
	parrot, basis := m.rate(agentNamed("parrot"), p)
	if parrot >= honest || basis == "12 voices on the predicate" {
		t.Errorf("the parrot has %v by %s, the honest one %v", parrot, basis, honest)
	}
}

// A key that nobody owns has no say.
func TestKeysThatNobodyOwns(t *testing.T) {
	verdict := copied().learn(t).Weigh("p", 2, []lens.TruthVoice{{Value: 0, Confidence: 1}, {Value: 0, Confidence: 1},
		{Agent: agentNamed("careful0"), Value: 1, Confidence: 1}})
	if verdict.Beliefs[1] < 0.5 || verdict.Weights[0].Independence != 0 {
		t.Errorf("beliefs %v, weights %+v", verdict.Beliefs, verdict.Weights)
	}
}

// Random worlds: beliefs are probabilities, the model is the same again and
// survives its encoding, and every method can be chosen.
func TestModelProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{}
		agents := rapid.IntRange(1, 6).Draw(t, "agents")
		questions := rapid.IntRange(0, 25).Draw(t, "questions")
		var labels []assertion.Recorded[*assertion.Label]
		for i := range questions {
			subject, predicate := fmt.Sprint("s", i), fmt.Sprint("p", i%3)
			for j := range agents {
				if rapid.IntRange(0, 3).Draw(t, "speaks") > 0 {
					w.says(fmt.Sprint("a", j), subject, predicate, fmt.Sprint("v", rapid.IntRange(0, 3).Draw(t, "value")))
				}
			}
			if rapid.Bool().Draw(t, "labelled") {
				labels = append(labels, label(1000, subject, predicate, fmt.Sprint("v", rapid.IntRange(0, 4).Draw(t, "label"))))
			}
		}
		for _, only := range append(Methods(), "") {
			m := w.learnBy(t, only, labels)
			raw, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(raw)
			if err != nil {
				t.Fatalf("%s: %v", only, err)
			}
			if diff := cmp.Diff(m, back, cmpopts.IgnoreUnexported(Model{})); diff != "" || m.Hash() != back.Hash() {
				t.Fatalf("encoded and back (-want +got):\n%s", diff)
			}
			if again := w.learnBy(t, only, labels); again.Hash() != m.Hash() || !again.Same(m) {
				t.Fatal("the same claims give another model")
			}
			var voices []lens.TruthVoice
			for j := range rapid.IntRange(1, 8).Draw(t, "voices") {
				voices = append(voices, lens.TruthVoice{Agent: agentNamed(fmt.Sprint("a", j)), Value: rapid.IntRange(0, 2).Draw(t, "of"),
					Confidence: rapid.Float64Range(0, 1).Draw(t, "confidence")})
			}
			for _, predicate := range []string{"p0", "unknown"} {
				verdict := m.Weigh(predicate, 3, voices)
				var sum float64
				for _, b := range verdict.Beliefs {
					if math.IsNaN(b) || b < 0 || b > 1 {
						t.Fatalf("%s: belief %v", verdict.Method, b)
					}
					sum += b
				}
				if math.Abs(sum-1) > 1e-9 {
					t.Fatalf("%s: beliefs sum to %v", verdict.Method, sum)
				}
			}
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	raw, err := copied().learn(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "a version to come": append([]byte{2}, raw[1:]...), "cut": raw[:len(raw)-1], "more": append(bytes.Clone(raw), 0),
	} {
		if _, err := Decode(bad); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkLearn(b *testing.B) {
	w := &world{}
	for i := range 10_000 {
		for j := range 10 {
			value := "right"
			if (i*7+j*13)%5 == 0 {
				value = fmt.Sprint("v", j%3)
			}
			w.says(fmt.Sprint("a", j), fmt.Sprint("s", i), fmt.Sprint("p", i%4), value)
		}
	}
	for b.Loop() {
		w.learn(b)
	}
}

// By the definition: an agent on n sources has n voices of independence
// 1 / (1 + 0.8 (n − 1)); two of them 1 / 1.8. Of 300 strangers beside it none
// loses anything; a ring of 300 that are copies for certain counts, as one of the
// first 100 sees it, as n copies do.
func TestGoldenIndependence(t *testing.T) {
	apart := func(int, int) float64 { return 0 }
	for _, n := range []int{1, 2, 100, 1000, 10_000} {
		parts := independence(n+300, func(i int) (agent, value int) { return max(0, i-n+1), 0 }, apart)
		want := 1 / (1 + 0.8*float64(n-1))
		for i, got := range parts {
			if i >= n {
				want = 1
			}
			if math.Abs(got-want) > 1e-12 {
				t.Fatalf("one agent on %d sources, voice %d: %g, want %g", n, i, got, want)
			}
		}
	}
	ring := independence(300, func(i int) (agent, value int) { return i, 0 }, func(int, int) float64 { return 1 })
	for i, got := range ring {
		if want := 1 / (1 + 0.8*299); math.Abs(got-want) > 1e-12 {
			t.Fatalf("voice %d of the ring: %g, want %g", i, got, want)
		}
	}
}

// A model that would not fit into an entry of the log keeps the records that
// rest on most voices.
func TestTheModelFits(t *testing.T) {
	m := &Model{Predicates: []Predicate{{Name: strings.Repeat("p", 200), Method: Methods()[0], Basis: bases[byDefault]}}, Agents: []Agent{}, Copies: []Copy{}}
	for i := range 2000 {
		agent := assertion.AgentID{byte(i >> 8), byte(i)}
		m.Agents = append(m.Agents, Agent{Agent: agent, Rate: 0.5})
		m.Records = append(m.Records, Record{Agent: agent, Predicate: m.Predicates[0].Name, Rate: 0.5, Voices: float64(i)})
	}
	const most = 64 << 10
	raw, err := m.fit(most)
	if err != nil || len(raw) > most || len(raw) < most/4 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	decoded, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	least := float64(2000 - len(m.Records))
	for _, r := range decoded.Records {
		if r.Voices < least {
			t.Errorf("a record that rests on %g voices is kept, of more than %g some are not", r.Voices, least)
		}
	}
}

// By the definition, on one question: two agents of accuracy 0.8 share a value
// believed with P = 0.25 that 2 of 3 voices state.
//
//	wrong = 0.75 × 2/3 = 0.5
//	I = 0.25 × 0.8 × 0.8 + 0.5 × 0.2 × 0.2 = 0.16 + 0.02 = 0.18
//	C = 0.8 × (0.25 × 0.8 + 0.5 × 0.2) + 0.2 × 0.18 = 0.24 + 0.036 = 0.276
//
// Six such questions multiply the odds 0.1 / 0.9 by (0.276 / 0.18)⁶ = 12.99629 to
// 1.444032: probability 0.590840. With the third agent, who always differs, they
// fall by 0.2 each time.
func TestGoldenCopying(t *testing.T) {
	p := &problem{agents: make([]assertion.AgentID, 3), keys: []key{{0, 0}, {1, 0}, {2, 0}}}
	var beliefs [][]float64
	for range 6 {
		p.questions = append(p.questions, question{values: 2, gold: unlabelled, voices: []voice{
			{agent: 0, key: 0, value: 0, weight: 1}, {agent: 1, key: 1, value: 0, weight: 1}, {agent: 2, key: 2, value: 1, weight: 1}}})
		beliefs = append(beliefs, []float64{0.25, 0.75})
	}
	c := detect(p, &rates{of: []float64{0.8, 0.8, 0.8}}, beliefs)
	if len(c.pairs) != 1 || math.Abs(c.of(1, 0)-0.590840) > 1e-6 || c.of(0, 2) != 0 {
		t.Errorf("%v", c.pairs)
	}
}

// By the definition: of an agent's labelled voices 3 of 4 are right on the first
// predicate, 0 of 1 on the second, and none has a label on the third.
//
//	whole  = (3 + 2 × 0.5) / (5 + 2) = 4/7
//	first  = (3 + 2 × 4/7) / (4 + 2) = 29/42
//	second = (0 + 2 × 4/7) / (1 + 2) = 8/21
//	third  = the whole, 4/7
func TestGoldenCalibration(t *testing.T) {
	p := &problem{agents: make([]assertion.AgentID, 1), predicates: []string{"first", "second", "third"}, keys: []key{{0, 0}, {0, 1}, {0, 2}}, keysOf: [][]int{{0}, {1}, {2}}}
	for i, gold := range []int{0, 0, 0, 1, 1, unlabelled} {
		predicate := max(0, i-3)
		p.questions = append(p.questions, question{predicate: predicate, values: 2, gold: gold, voices: []voice{{key: predicate, value: 0, weight: 1}}})
	}
	r := new(rates)
	r.calibrate(p, calibrated{})
	for k, want := range []float64{29.0 / 42, 8.0 / 21, 4.0 / 7} {
		near(t, p.predicates[k], r.of[k], want)
	}
}

package trust

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

const day = 86400

// agent is the public key of a test's agent.
func agent(n byte) assertion.AgentID {
	return assertion.AgentOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}

// By the rules: 0.5, right → 0.55; 30 days later half of the 0.05 is left,
// 0.525, wrong → 0.425; 60 days later a quarter of the −0.075 is left, 0.48125,
// right → 0.53125.
func TestGoldenRank(t *testing.T) {
	s, err := Compute(Input{At: 90 * day, Verdicts: []Verdict{
		{agent(1), "p", true, 90 * day}, {agent(1), "p", true, 0}, {agent(1), "q", false, 30 * day},
	}})
	if err != nil {
		t.Fatal(err)
	}
	a, ok := s.Agent(agent(1))
	if !ok || a.Right != 2 || a.Wrong != 1 || a.RankedAt != 90*day {
		t.Fatalf("%+v", a)
	}
	near(t, "rank", a.Rank, 0.53125)
	near(t, "thirty days on", Rank{a.Rank, a.RankedAt}.Decayed(120*day), 0.515625)
	// On p alone: 0.55, 90 days later an eighth of the 0.05 is left: 0.50625,
	// right → 0.55625.
	p, ok := s.Of(agent(1), "p")
	if !ok || p.Right != 2 || p.Wrong != 0 {
		t.Fatalf("%+v", p)
	}
	near(t, "rank on p", p.Rank, 0.55625)
	// Accuracy over all: (2 + 2 × 0.5) / (3 + 2) = 0.6. On p: (2 + 2 × 0.6) / (2 +
	// 2) = 0.8. On q: (0 + 1.2) / (1 + 2) = 0.4. Elsewhere 0.6.
	near(t, "trust on p", s.Trust(agent(1), "p").Value, 0.8)
	near(t, "trust on q", s.Trust(agent(1), "q").Value, 0.4)
	near(t, "trust elsewhere", s.Trust(agent(1), "r").Value, 0.6)
	near(t, "trust in a stranger", s.Trust(agent(9), "p").Value, 0.5)
	var none *Scores
	near(t, "trust before any computation", none.Trust(agent(1), "p").Value, 0.5)
	if !none.Hash().IsZero() || len(none.RecordsOf(agent(1))) != 0 || len(s.RecordsOf(agent(1))) != 2 {
		t.Error("records or hash of nothing")
	}
}

// A rank stays within 0 to 1 however many verdicts go one way.
func TestRankIsBounded(t *testing.T) {
	for _, right := range []bool{true, false} {
		var all []Verdict
		for i := range 30 {
			all = append(all, Verdict{agent(1), "p", right, uint64(i)})
		}
		s, err := Compute(Input{Verdicts: all})
		if err != nil {
			t.Fatal(err)
		}
		a, _ := s.Agent(agent(1))
		if want := map[bool]float64{true: 1, false: 0}[right]; a.Rank != want {
			t.Errorf("thirty times %t: %g", right, a.Rank)
		}
	}
}

// Seed s endorses a and b alike, a endorses b, b nobody: b's trust flows back to
// s. With d = 0.15: a = 0.85 s / 2, b = 0.85 s / 2 + 0.85 a, s = 0.15 + 0.85 b,
// and s + a + b = 1. So a = 0.425 s, b = 0.425 s + 0.36125 s = 0.78625 s, and s
// = 1 / 2.21125.
func TestGoldenEigenTrust(t *testing.T) {
	s, a, b := agent(1), agent(2), agent(3)
	standings, rounds := EigenTrust([]Endorsement{{s, a, 1}, {s, b, 1}, {a, b, 0.3}, {b, b, 1}, {a, s, 0}}, []assertion.AgentID{s})
	got := map[assertion.AgentID]float64{}
	sum := 0.0
	for _, st := range standings {
		got[st.Agent] = st.Trust
		sum += st.Trust
	}
	near(t, "sum", sum, 1)
	near(t, "s", got[s], 1/2.21125)
	near(t, "a", got[a], 0.425/2.21125)
	near(t, "b", got[b], 0.78625/2.21125)
	if rounds < 5 || rounds == maxRounds {
		t.Errorf("%d rounds", rounds)
	}
	scores, err := Compute(Input{Endorsements: []Endorsement{{s, a, 1}, {s, b, 1}, {a, b, 0.3}}, Seeds: []assertion.AgentID{s}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "trust in the strongest", scores.Trust(s, "p").Value, 1)
	near(t, "trust in b", scores.Trust(b, "p").Value, 0.5+0.5*0.78625)
	if empty, rounds := EigenTrust(nil, nil); empty != nil || rounds != 0 {
		t.Error("an empty graph has trust")
	}
}

// However many agents endorse each other, without a word from the seeds' side
// they have no trust; without seeds they would have nearly all of it.
func TestSybilsNeedTheSeeds(t *testing.T) {
	seed, honest := agent(1), agent(2)
	edges := []Endorsement{{seed, honest, 1}}
	for i := byte(10); i < 60; i++ {
		edges = append(edges, Endorsement{agent(i), agent(10 + (i-9)%50), 1}, Endorsement{agent(i), seed, 1})
	}
	for name, test := range map[string]struct {
		seeds []assertion.AgentID
		least float64
		most  float64
	}{"with seeds": {[]assertion.AgentID{seed}, 0, 1e-9}, "without": {nil, 0.3, 1}} {
		standings, _ := EigenTrust(edges, test.seeds)
		sybils := 0.0
		for _, s := range standings {
			if s.Agent != seed && s.Agent != honest {
				sybils += s.Trust
			}
		}
		if sybils < test.least || sybils > test.most {
			t.Errorf("%s the sybils have %g", name, sybils)
		}
	}
}

// Keys of small order have no owner: they get no trust and give none.
func TestKeysWithoutOwnerAreLeftOut(t *testing.T) {
	weak := assertion.AgentID{} // y = 0 is a point of order 4
	identity := assertion.AgentID{1}
	noPoint := assertion.AgentID{2}
	for _, a := range []assertion.AgentID{weak, identity, noPoint} {
		if a.Owned() {
			t.Errorf("%s is owned", a)
		}
	}
	s, err := Compute(Input{Verdicts: []Verdict{{weak, "p", true, 1}, {agent(1), "p", true, 1}},
		Endorsements: []Endorsement{{identity, agent(2), 1}, {agent(2), noPoint, 1}}, Seeds: []assertion.AgentID{weak}})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Agents) != 1 || s.Agents[0].Agent != agent(1) {
		t.Errorf("%+v", s.Agents)
	}
}

func someInput(t *rapid.T) Input {
	one := rapid.Custom(func(t *rapid.T) assertion.AgentID { return agent(rapid.ByteRange(1, 6).Draw(t, "agent")) })
	return Input{
		Index: rapid.Uint64().Draw(t, "index"), At: rapid.Uint64Range(0, 1<<40).Draw(t, "at"),
		Verdicts: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Verdict {
			return Verdict{one.Draw(t, "of"), rapid.SampledFrom([]string{"p", "q"}).Draw(t, "predicate"), rapid.Bool().Draw(t, "right"), rapid.Uint64Range(0, 400*day).Draw(t, "time")}
		}), 0, 12).Draw(t, "verdicts"),
		Endorsements: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Endorsement {
			return Endorsement{one.Draw(t, "from"), one.Draw(t, "to"), rapid.Float64Range(0, 1).Draw(t, "weight")}
		}), 0, 12).Draw(t, "edges"),
		Seeds: rapid.SliceOfNDistinct(one, 0, 3, rapid.ID).Draw(t, "seeds"),
	}
}

// The order in which labels and endorsements are handed over changes nothing,
// every value lies within 0 to 1, and the encoding reads back.
func TestScoresAreAFunctionOfTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := someInput(t)
		s, err := Compute(in)
		if err != nil {
			t.Fatal(err)
		}
		in.Verdicts = rapid.Permutation(in.Verdicts).Draw(t, "verdicts again")
		in.Endorsements = rapid.Permutation(in.Endorsements).Draw(t, "edges again")
		again, err := Compute(in)
		if err != nil || again.Hash() != s.Hash() {
			t.Fatalf("another order, another hash (%v)", err)
		}
		for i := byte(1); i < 8; i++ {
			for _, p := range []string{"p", "q", "r"} {
				if v := s.Trust(agent(i), p).Value; !(v >= 0 && v <= 1) {
					t.Fatalf("trust %g", v)
				}
			}
		}
		raw, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		read, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, read, cmpopts.IgnoreUnexported(Scores{})); diff != "" || read.Hash() != s.Hash() {
			t.Fatal(diff)
		}
	})
}

// What Decode accepts is what Encode writes, and nothing makes it panic.
func FuzzDecode(f *testing.F) {
	s, err := Compute(Input{Index: 7, At: 9, Verdicts: []Verdict{{agent(1), "p", true, 1}}, Endorsements: []Endorsement{{agent(1), agent(2), 1}}})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := s.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		again, err := s.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x reads back as %x (%v)", b, again, err)
		}
	})
}

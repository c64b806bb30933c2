package assertion

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tallyClaim makes a committed claim of the signers on one source.
func tallyClaim(object ObjectValue, class SourceClass, confidence float64, timestamp, index uint64, source byte, signers ...byte) *Claim {
	c := &Claim{Assertion: Assertion{Subject: "s", Predicate: "p", Object: object, SourceClass: class,
		Confidence: confidence, SourceHash: Hash{source}, Timestamp: timestamp}, Commit: Commit{Position: Position{Index: index}}}
	for _, n := range signers {
		c.Signatures = append(c.Signatures, Signature{AgentID: AgentID{n}})
	}
	return c
}

// TestTallyByHand works one question through by hand, at t0.
func TestTallyByHand(t *testing.T) {
	const day, t0 = 86400, 1700000000
	claims := []*Claim{
		// Agents 1 and 2 on source 1: two voices of 0.8, no decay in this tier.
		tallyClaim(Number(44.2), Regulatory, 0.8, t0-1000*day, 1, 1, 1, 2),
		// Agent 3 on source 2: 0.6 × 0.5^(730/730) = 0.3.
		tallyClaim(Number(44.2), Clinical, 0.6, t0-730*day, 2, 2, 3),
		// Agent 4 on source 3 first said 20.3 ...
		tallyClaim(Number(20.3), Community, 1, t0-95*day, 3, 3, 4),
		// ... and then 15.8: 1 × 0.5^(90/90) = 0.5. The older claim is silent.
		tallyClaim(Number(15.8), Community, 1, t0-90*day, 4, 3, 4),
		// The same agent on another source is another voice: 0.4 × 0.5^(60/30) = 0.1.
		tallyClaim(Number(15.8), Anecdotal, 0.4, t0-60*day, 5, 4, 4),
		// A claim from after t0 has not aged: 0.9.
		tallyClaim(Number(15.8), Anecdotal, 0.9, t0+day, 6, 5, 5),
	}
	got := NewTally("s", "p", claims, t0)
	want := &Tally{Subject: "s", Predicate: "p", At: t0, Values: []ValueTally{
		// By canonical bytes: both numbers need doubles, 15.8 = 402f99… comes before 44.2 = 4046….
		{Object: Number(15.8), Tiers: [NumTiers]TierTally{
			Community: {Voices: 1, Confidence: 0.5, Newest: t0 - 90*day},
			Anecdotal: {Voices: 2, Confidence: 0.1 + 0.9, Newest: t0 + day}}},
		{Object: Number(44.2), Tiers: [NumTiers]TierTally{
			Regulatory: {Voices: 2, Confidence: 1.6, Newest: t0 - 1000*day},
			Clinical:   {Voices: 1, Confidence: 0.3, Newest: t0 - 730*day}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	low, high := &got.Values[0], &got.Values[1]
	if low.Voices() != 3 || low.Newest() != t0+day || high.Voices() != 3 || high.Newest() != t0-730*day {
		t.Errorf("%d voices at %d, %d voices at %d", low.Voices(), low.Newest(), high.Voices(), high.Newest())
	}
	// 0.5 × 0.25 + 1 × 0.10 = 0.225 and 1.6 × 1 + 0.3 × 0.85 = 1.855
	if math.Abs(low.Support()-0.225) > 1e-15 || math.Abs(high.Support()-1.855) > 1e-15 {
		t.Errorf("support %v and %v", low.Support(), high.Support())
	}
}

// TestTallyNewestOfVoice: of equal timestamps the later commit counts.
func TestTallyNewestOfVoice(t *testing.T) {
	got := NewTally("s", "p", []*Claim{
		tallyClaim(Text("b"), Expert, 1, 10, 8, 1, 1),
		tallyClaim(Text("a"), Expert, 1, 10, 7, 1, 1),
		tallyClaim(Text("c"), Expert, 1, 9, 99, 1, 1),
	}, 10)
	if len(got.Values) != 1 || got.Values[0].Object != Text("b") || got.Values[0].Voices() != 1 {
		t.Errorf("%+v", got.Values)
	}
}

// TestTallyPartOfCosigners: a newer claim of one signer leaves the others'
// voices where they were.
func TestTallyPartOfCosigners(t *testing.T) {
	got := NewTally("s", "p", []*Claim{
		tallyClaim(Text("a"), Expert, 1, 10, 1, 1, 1, 2, 3),
		tallyClaim(Text("b"), Expert, 1, 11, 2, 1, 2),
	}, 11)
	if len(got.Values) != 2 || got.Values[0].Voices() != 2 || got.Values[1].Voices() != 1 {
		t.Errorf("%+v", got.Values)
	}
}

func TestTallyOfNothing(t *testing.T) {
	if got := NewTally("s", "p", nil, 5); got.Subject != "s" || got.Predicate != "p" || got.At != 5 || len(got.Values) != 0 {
		t.Errorf("%+v", got)
	}
}

func genClaims() *rapid.Generator[[]*Claim] {
	return rapid.Custom(func(t *rapid.T) []*Claim {
		n := rapid.IntRange(0, 30).Draw(t, "claims")
		claims := make([]*Claim, n)
		for i := range claims {
			signers := rapid.SliceOfNDistinct(rapid.ByteRange(1, 6), 1, 3, func(b byte) byte { return b }).Draw(t, "signers")
			claims[i] = tallyClaim(
				rapid.SampledFrom([]ObjectValue{Number(1), Number(1.5), Text("1"), Reference("1"), Boolean(true)}).Draw(t, "object"),
				rapid.SampledFrom(SourceClasses()).Draw(t, "class"), genUnit().Draw(t, "confidence"),
				rapid.Uint64Range(0, 4).Draw(t, "time")*40*86400, uint64(i), rapid.ByteRange(1, 3).Draw(t, "source"), signers...)
		}
		return claims
	})
}

// TestTallyProperties: the order of claims does not matter to the last bit;
// repeating claims changes nothing; every voice is counted exactly once; values
// are in canonical order.
func TestTallyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := genClaims().Draw(t, "claims")
		at := rapid.Uint64Range(0, 400*86400).Draw(t, "at")
		want := NewTally("s", "p", claims, at)
		if diff := cmp.Diff(want, NewTally("s", "p", rapid.Permutation(claims).Draw(t, "permuted"), at)); diff != "" {
			t.Fatalf("another order: %s", diff)
		}
		if diff := cmp.Diff(want, NewTally("s", "p", append(claims[:len(claims):len(claims)], claims...), at)); diff != "" {
			t.Fatalf("each claim twice: %s", diff)
		}
		voices := map[[2]Hash]*Claim{}
		for _, c := range claims {
			for _, s := range c.Signatures {
				key := [2]Hash{Hash(s.AgentID), c.SourceHash}
				if held := voices[key]; held == nil || NewerClaim(c, held) {
					voices[key] = c
				}
			}
		}
		var counted uint64
		var support float64
		for i := range want.Values {
			v := &want.Values[i]
			counted += v.Voices()
			support += v.Support()
			if v.Voices() == 0 {
				t.Fatalf("%v has no voice", v.Object)
			}
			if i > 0 && bytes.Compare(want.Values[i-1].Object.Canonical(), v.Object.Canonical()) >= 0 {
				t.Fatalf("%v stands before %v", want.Values[i-1].Object, v.Object)
			}
		}
		var expected float64
		for _, c := range voices {
			expected += c.SourceClass.Weight() * c.SourceClass.EffectiveConfidence(c.Confidence, c.Timestamp, at)
		}
		if counted != uint64(len(voices)) || math.Abs(support-expected) > 1e-9*max(1, expected) {
			t.Fatalf("%d voices of support %v, want %d of %v", counted, support, len(voices), expected)
		}
	})
}

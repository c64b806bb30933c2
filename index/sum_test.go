package index

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

func TestSumsMatchTheFormula(t *testing.T) {
	// Community has a half-life of 90 days = 7,776,000 s. Two claims, confidence
	// 0.8 made 90 days ago and 0.5 made 180 days ago, are worth
	// 0.8 × 0.5 + 0.5 × 0.25 = 0.4 + 0.125 = 0.525 now.
	const day, now = 86400, uint64(1_750_000_000)
	var s sum
	s.add(newContribution(assertion.Community, 0.8, now-90*day))
	s.add(newContribution(assertion.Community, 0.5, now-180*day))
	if got := s.at(assertion.Community, now); math.Abs(got-0.525) > 1e-12 {
		t.Errorf("got %v, want 0.525", got)
	}
	// Regulatory does not decay: 0.9 + 0.05 = 0.95 at any time.
	var r sum
	r.add(newContribution(assertion.Regulatory, 0.9, 0))
	r.add(newContribution(assertion.Regulatory, 0.05, now))
	if got := r.at(assertion.Regulatory, now+100*365*day); math.Abs(got-0.95) > 1e-12 {
		t.Errorf("got %v, want 0.95", got)
	}
}

func drawContributions(t *rapid.T) ([]contribution, assertion.SourceClass) {
	class := rapid.SampledFrom(assertion.SourceClasses()).Draw(t, "class")
	parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) contribution {
		confidence := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1, math.SmallestNonzeroFloat64, 1e-300})).Draw(t, "confidence")
		return newContribution(class, confidence, rapid.Uint64Range(0, 2*testNow).Draw(t, "timestamp"))
	}), 0, 20).Draw(t, "parts")
	return parts, class
}

func TestWhatIsRemovedLeavesNothingBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts, _ := drawContributions(t)
		extra, _ := drawContributions(t)
		var without, with sum
		for _, p := range parts {
			without.add(p)
		}
		for _, p := range rapid.Permutation(append(append([]contribution(nil), parts...), extra...)).Draw(t, "order") {
			with.add(p)
		}
		for _, p := range rapid.Permutation(extra).Draw(t, "removals") {
			if err := with.remove(p); err != nil {
				t.Fatal(err)
			}
		}
		a, b := without.magnitude, with.magnitude
		a.Lsh(&a, uint(max(without.shift-with.shift, 0)))
		b.Lsh(&b, uint(max(with.shift-without.shift, 0)))
		if a.Cmp(&b) != 0 {
			t.Fatalf("%v × 2^%d after removal, want %v × 2^%d", &with.magnitude, with.shift, &without.magnitude, without.shift)
		}
	})
}

func TestBucketsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in bucket
		for i := range in.tiers {
			parts, _ := drawContributions(t)
			for _, p := range parts {
				in.tiers[i].sum.add(p)
				in.tiers[i].voices++
				in.tiers[i].newest = rapid.Uint64().Draw(t, "newest")
			}
		}
		out, err := decodeBucket(in.encode())
		if err != nil {
			t.Fatal(err)
		}
		for i := range in.tiers {
			a, b := &in.tiers[i], &out.tiers[i]
			if a.voices != b.voices || a.newest != b.newest || a.sum.magnitude.Cmp(&b.sum.magnitude) != 0 || a.voices > 0 && a.sum.shift != b.sum.shift {
				t.Fatalf("tier %d: %+v, want %+v", i, b, a)
			}
		}
	})
}

func TestRemovingWhatWasNeverAddedIsNoticed(t *testing.T) {
	var s sum
	s.add(newContribution(assertion.Expert, 0.1, 1000))
	if err := s.remove(newContribution(assertion.Expert, 0.2, 1000)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

func FuzzDecodeBucket(f *testing.F) {
	var b bucket
	b.tiers[2].voices = 3
	b.tiers[2].sum.add(newContribution(assertion.Observational, 0.5, testNow))
	f.Add(b.encode())
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := decodeBucket(raw); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("an error without ErrCorrupt: %v", err)
		}
	})
}

func FuzzDecodeStored(f *testing.F) {
	s := &storedClaim{}
	s.claim.Assertion = *plain(1)
	s.claim.SignatureCommits = make([]assertion.Commit, 1)
	raw, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := decodeStored(seq{}, raw); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("an error without ErrCorrupt: %v", err)
		}
	})
}

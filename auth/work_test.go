package auth_test

import (
	"encoding"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

func TestTiers(t *testing.T) {
	for _, test := range []struct {
		trust      float64
		name       string
		multiplier float64
		quota      uint64
	}{
		{-1, "untrusted", 0.1, 1_000},
		{0, "untrusted", 0.1, 1_000},
		{math.NaN(), "untrusted", 0.1, 1_000},
		{0.29, "untrusted", 0.1, 1_000},
		{0.3, "limited", 0.5, 5_000},
		{0.49, "limited", 0.5, 5_000},
		{0.5, "verified", 1, 10_000},
		{0.69, "verified", 1, 10_000},
		{0.7, "trusted", 2, 20_000},
		{0.89, "trusted", 2, 20_000},
		{0.9, "authority", 10, 100_000},
		{1, "authority", 10, 100_000},
	} {
		tier := auth.TierOf(test.trust)
		text, err := encoding.TextMarshaler(tier).MarshalText()
		if string(text) != test.name || err != nil || tier.Multiplier() != test.multiplier || tier.Quota() != test.quota {
			t.Errorf("trust %v: %s (%v), ×%v, %d units, want %+v", test.trust, text, err, tier.Multiplier(), tier.Quota(), test)
		}
	}
}

func TestDifficulty(t *testing.T) {
	type pair struct {
		agent byte
		soFar int
		trust float64
		times int
	}
	for name, test := range map[string]struct {
		pairs []pair
		want  int
	}{
		"nothing":                       {nil, 0},
		"a first claim":                 {[]pair{{1, 0, 0, 1}}, 16},
		"the tenth":                     {[]pair{{1, 9, 0, 1}}, 16},
		"the eleventh":                  {[]pair{{1, 10, 0, 1}}, 8},
		"the fiftieth":                  {[]pair{{1, 49, 0, 1}}, 8},
		"the one after":                 {[]pair{{1, 50, 0, 1}}, 0},
		"a trusted newcomer":            {[]pair{{1, 0, 0.6, 1}}, 0},
		"almost trusted":                {[]pair{{1, 0, 0.59, 1}}, 16},
		"no trust that is a number":     {[]pair{{1, 0, math.NaN(), 1}}, 16},
		"two first claims":              {[]pair{{1, 0, 0, 2}}, 17},
		"three":                         {[]pair{{1, 0, 0, 3}}, 18},
		"signers add up":                {[]pair{{1, 0, 0, 1}, {2, 0, 0, 1}}, 17},
		"a free signer adds nothing":    {[]pair{{1, 0, 0, 1}, {2, 50, 0, 1}}, 16},
		"ten cost as ten, the rest not": {[]pair{{1, 0, 0, 1000}}, 20}, // 10 × 2^16 + 40 × 2^8
		"a batch across a stage":        {[]pair{{1, 9, 0, 2}}, 17},
		"forty":                         {[]pair{{1, 10, 0, 40}}, 14},
	} {
		var d auth.Demand
		for _, p := range test.pairs {
			for range p.times {
				d.Add(assertion.AgentID{p.agent}, p.soFar, p.trust)
			}
		}
		if got := d.Difficulty(); got != test.want {
			t.Errorf("%s: %d bits, want %d", name, got, test.want)
		}
	}
}

// One proof for a batch costs no less than one for each of its claims, and less
// than twice as much.
func TestABatchCostsWhatItsClaimsCost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := rapid.SliceOfN(rapid.IntRange(0, 60), 4, 4).Draw(t, "stored")
		signers := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 200).Draw(t, "signers")
		var batch auth.Demand
		single, soFar := uint64(0), append([]int(nil), stored...)
		for _, s := range signers {
			batch.Add(assertion.AgentID{byte(s)}, stored[s], 0.1)
			single += auth.Need(soFar[s], 0.1)
			soFar[s]++
		}
		cost := uint64(1) << batch.Difficulty()
		if single == 0 && cost != 1 || single > 0 && (cost < single || cost >= 2*single) || batch.Difficulty() > assertion.MaxWorkBits {
			t.Fatalf("%d hashes for the batch, %d for its claims alone", cost, single)
		}
	})
}

package loadtest

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

func TestClaimsFollowFromTheirNumbers(t *testing.T) {
	for _, hot := range []bool{false, true} {
		c, err := newCorpus(3, 64, hot)
		if err != nil {
			t.Fatal(err)
		}
		hashes, questions := map[assertion.Hash]bool{}, map[string]bool{}
		for k := range uint64(50) {
			r, err := c.sign(k, 4)
			if err != nil {
				t.Fatal(err)
			}
			if r.first != 4*k || len(r.hashes) != 4 {
				t.Fatalf("request %d has %d claims from %d on", k, len(r.hashes), r.first)
			}
			for i, hash := range r.hashes {
				again, err := c.claim(r.first + uint64(i))
				if err != nil {
					t.Fatal(err)
				}
				if again.ContentHash() != hash {
					t.Fatalf("claim %d has another hash when it is made again", r.first+uint64(i))
				}
				hashes[hash], questions[again.Subject+" "+again.Predicate] = true, true
			}
		}
		if len(hashes) != 200 {
			t.Errorf("hot %v: %d different claims, want 200", hot, len(hashes))
		}
		if want := map[bool]int{false: 200, true: 1}[hot]; len(questions) != want {
			t.Errorf("hot %v: claims on %d questions, want %d", hot, len(questions), want)
		}
	}
}

func TestSignaturesAreValid(t *testing.T) {
	c, err := newCorpus(2, 256, false)
	if err != nil {
		t.Fatal(err)
	}
	for k := range uint64(4) {
		r, err := c.sign(k, 1)
		if err != nil {
			t.Fatal(err)
		}
		var a assertion.Assertion
		if err := json.Unmarshal(r.body, &a); err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(assertion.VerifyOptions{}); err != nil {
			t.Error(err)
		}
		if !a.HasSigner(assertion.AgentOf(c.keys[k%2])) {
			t.Errorf("claim %d is not signed by agent %d", k, k%2)
		}
	}
}

func TestASupplyGivesEveryRequestOnce(t *testing.T) {
	for _, c := range []struct {
		requests uint64
		n        int
		method   string
	}{{100, 3, signedBefore}, {0, 1, signedAhead}, {mostSignedBefore, 2, signedAhead}} {
		corpus, err := newCorpus(1, 8, false)
		if err != nil {
			t.Fatal(err)
		}
		s := newSupply(t.Context(), corpus, c.n, c.requests)
		if s.method != c.method {
			t.Errorf("%d requests of %d claims: signed %s", c.requests, c.n, s.method)
		}
		seen := map[uint64]bool{}
		for range 100 {
			r, err := s.take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if seen[r.first] || r.first%uint64(c.n) != 0 {
				t.Errorf("a request from claim %d on came again", r.first)
			}
			seen[r.first] = true
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLedgerIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOf(rapid.Uint64Range(0, 500)).Draw(t, "claims")
		var l ledger
		for _, i := range claims {
			l.acknowledge(i)
		}
		want := slices.Clone(claims)
		slices.Sort(want)
		want = slices.Compact(want)
		var got []uint64
		l.each(func(i uint64) bool { got = append(got, i); return true })
		if !slices.Equal(got, want) || l.acknowledged() != uint64(len(want)) {
			t.Fatalf("%d acknowledged: %v, want %v", l.acknowledged(), got, want)
		}
		i, ok := l.any()
		if ok != (len(want) > 0) || ok && !slices.Contains(want, i) {
			t.Fatalf("any is %d, %v", i, ok)
		}
	})
}

// Within a question the texts are few, the sources and signers differ, and another
// question follows.
func TestAQuestionIsContested(t *testing.T) {
	c, err := newCorpus(8, 64, false)
	if err != nil {
		t.Fatal(err)
	}
	predicates := map[string]bool{}
	texts, sources, signers := map[string]bool{}, map[assertion.Hash]bool{}, map[string]int{}
	for turn := range uint64(2 * onQuestion) {
		i := turn*subjects + 7
		claim, err := c.claim(i)
		if err != nil {
			t.Fatal(err)
		}
		if claim.Subject != c.name+":7" {
			t.Fatalf("claim %d is on the subject %s", i, claim.Subject)
		}
		predicates[claim.Predicate] = true
		texts[claim.Object.String()], sources[claim.SourceHash] = true, true
		signers[string(c.key(i))+claim.Object.String()]++
	}
	if len(predicates) != 2 || len(texts) != 2*textsOnQuestion || len(sources) != onQuestion {
		t.Errorf("%d predicates, %d texts, %d sources; want 2, %d, %d", len(predicates), len(texts), len(sources), 2*textsOnQuestion, onQuestion)
	}
	for _, n := range signers {
		if n > 1 {
			t.Errorf("an agent states a text %d times: the content defence may take it for a flood", n)
		}
	}
}

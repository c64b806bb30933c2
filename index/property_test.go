package index

import (
	"crypto/ed25519"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

var testKeys = func() []ed25519.PrivateKey {
	keys := make([]ed25519.PrivateKey, 5)
	for i := range keys {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i + 1)
		keys[i] = ed25519.NewKeyFromSeed(seed)
	}
	return keys
}()

// history drives an index with random claims and keeps the plain truth beside
// it.
type history struct {
	db     *DB
	claims []*assertion.Claim
	owners map[assertion.Hash]map[assertion.AgentID]bool // the first signers of each
	log    uint64
}

const testNow = 1_750_000_000

func drawAssertion(t *rapid.T) *assertion.Assertion {
	a := &assertion.Assertion{
		Subject:     rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "subject"),
		Predicate:   rapid.SampledFrom([]string{"p", "q"}).Draw(t, "predicate"),
		Object:      assertion.Number(float64(rapid.IntRange(0, 3).Draw(t, "value"))),
		Confidence:  rapid.SampledFrom([]float64{0, 1e-9, 0.1, 0.3, 0.7, 1}).Draw(t, "confidence"),
		SourceClass: rapid.SampledFrom(assertion.SourceClasses()).Draw(t, "class"),
		SourceHash:  assertion.Hash{byte(rapid.IntRange(1, 2).Draw(t, "source"))},
		Timestamp: rapid.OneOf(rapid.Uint64Range(0, testNow), rapid.Uint64Range(testNow-10, testNow+300),
			rapid.SampledFrom([]uint64{0, testNow})).Draw(t, "timestamp"),
		Lifecycle: rapid.SampledFrom([]assertion.Lifecycle{assertion.Proposed, assertion.Proposed, assertion.Approved, assertion.Deprecated}).Draw(t, "stage"),
	}
	for _, k := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(testKeys)-1), 1, 3, rapid.ID).Draw(t, "signers") {
		a.Sign(testKeys[k], a.Timestamp)
	}
	return a
}

func (h *history) find(hash assertion.Hash) *assertion.Claim {
	for _, c := range h.claims {
		if c.Hash == hash {
			return c
		}
	}
	return nil
}

// apply mirrors the rules of Batch.Assert on the plain list.
func (h *history) apply(a *assertion.Assertion, hash assertion.Hash, c assertion.Commit) Outcome {
	if known := h.find(hash); known != nil {
		added := false
		for _, s := range a.Signatures {
			if !sharesSigner(known.Signatures, []assertion.Signature{s}) {
				known.Signatures = append(known.Signatures, s)
				added = true
			}
		}
		if added {
			return Cosigned
		}
		return Exists
	}
	var parent *assertion.Claim
	if a.ParentHash != nil {
		if parent = h.find(*a.ParentHash); parent == nil {
			return ParentNotFound
		}
		switch {
		case a.Subject != parent.Subject || a.Predicate != parent.Predicate || a.Object != parent.Object || a.SourceHash != parent.SourceHash:
			return ParentDiffers
		case !slices.ContainsFunc(a.Signatures, func(s assertion.Signature) bool { return h.owners[parent.Hash][s.AgentID] }):
			return NotOwner
		}
	}
	claim := &assertion.Claim{Assertion: *a, Hash: hash, Commit: c, Stage: a.Lifecycle}
	claim.Signatures = append([]assertion.Signature(nil), a.Signatures...)
	h.claims = append(h.claims, claim)
	if h.owners == nil {
		h.owners = map[assertion.Hash]map[assertion.AgentID]bool{}
	}
	h.owners[hash] = map[assertion.AgentID]bool{}
	for _, s := range a.Signatures {
		h.owners[hash][s.AgentID] = true
	}
	if parent != nil {
		parent.Stage = a.Lifecycle
	}
	return Created
}

func TestAggregatesEqualThePlainScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open("db", Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		h := &history{db: db}
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			batch, err := db.NewBatch()
			if err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(1, 12).Draw(t, "claims") {
				a := drawAssertion(t)
				if len(h.claims) > 0 && rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
					other := rapid.SampledFrom(h.claims).Draw(t, "other")
					if rapid.Bool().Draw(t, "cosign") {
						signers := a.Signatures
						*a = other.Assertion
						a.Signatures = nil
						for range signers {
						}
						a.Sign(testKeys[rapid.IntRange(0, len(testKeys)-1).Draw(t, "cosigner")], 1)
					} else {
						if rapid.IntRange(0, 3).Draw(t, "same") > 0 {
							a.Subject, a.Predicate, a.Object, a.SourceHash = other.Subject, other.Predicate, other.Object, other.SourceHash
						}
						a.ParentHash = &other.Hash
						a.Signatures = nil
						a.Sign(testKeys[rapid.IntRange(0, len(testKeys)-1).Draw(t, "owner")], 1)
					}
				}
				h.log++
				hash := a.ContentHash()
				c := assertion.Commit{Position: assertion.Position{Index: h.log}, At: h.log}
				got, err := batch.Assert(a, hash, c, assertion.Admission{})
				if err != nil {
					t.Fatal(err)
				}
				if want := h.apply(a, hash, c); got != want {
					t.Fatalf("outcome %v, want %v", got, want)
				}
			}
			batch.SetApplied(Applied{Index: h.log, Term: 1, CommittedAt: h.log})
			if err := batch.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := batch.Close(); err != nil {
				t.Fatal(err)
			}
		}
		h.check(t)
	})
}

// check compares everything that the index says with the plain list.
func (h *history) check(t *rapid.T) {
	v, err := h.db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Count() != uint64(len(h.claims)) {
		t.Fatalf("count %d, want %d", v.Count(), len(h.claims))
	}
	var state lthash.State
	elements := newExpander(claimContext)
	for _, c := range h.claims {
		state.Add(elements.claim(c))
		got, err := v.Get(c.Hash)
		if err != nil {
			t.Fatal(err)
		}
		if got.Stage != c.Stage || len(got.Signatures) != len(c.Signatures) || len(got.SignatureCommits) != len(c.Signatures) {
			t.Fatalf("claim %s: %+v, want %+v", c.Hash, got, c)
		}
	}
	if v.Digest() != state.Sum() {
		t.Fatal("the running digest differs from that of the records")
	}
	at := rapid.OneOf(rapid.Just(uint64(testNow)), rapid.Uint64Range(testNow-400, testNow+10_000_000)).Draw(t, "at")
	for _, subject := range []string{"a", "ab", "b"} {
		for _, predicate := range []string{"p", "q"} {
			var visible []*assertion.Claim
			for _, c := range h.claims {
				if c.Subject == subject && c.Predicate == predicate && c.Visible() {
					visible = append(visible, c)
				}
			}
			got, err := v.Tally(subject, predicate, at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := tallyDiff(got, assertion.NewTally(subject, predicate, visible, at)); diff != "" {
				t.Fatalf("%s/%s at %d: %s", subject, predicate, at, diff)
			}
		}
	}
}

func tallyDiff(got, want *assertion.Tally) string {
	if len(got.Values) != len(want.Values) {
		return fmt.Sprintf("%d values, want %d", len(got.Values), len(want.Values))
	}
	for i := range got.Values {
		g, w := &got.Values[i], &want.Values[i]
		if g.Object != w.Object {
			return fmt.Sprintf("value %d is %v, want %v", i, g.Object, w.Object)
		}
		for tier := range g.Tiers {
			a, b := g.Tiers[tier], w.Tiers[tier]
			if a.Voices != b.Voices || a.Newest != b.Newest || math.Abs(a.Confidence-b.Confidence) > 1e-9*b.Confidence {
				return fmt.Sprintf("value %v tier %d: %+v, want %+v", g.Object, tier, a, b)
			}
		}
	}
	return ""
}

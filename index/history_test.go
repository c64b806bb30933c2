package index

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

// drawEntry draws an entry of any kind that bears on answers, mostly about what
// is there.
func drawEntry(t *rapid.T, claims []*assertion.Assertion, epochs []assertion.Hash) assertion.Entry {
	signer := testKeys[rapid.IntRange(0, len(testKeys)-1).Draw(t, "signer")]
	weight := rapid.SampledFrom([]float64{0, 0.25, 1}).Draw(t, "weight")
	when := rapid.Uint64Range(testNow-5, testNow+5).Draw(t, "when")
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	kind := rapid.IntRange(0, 10).Draw(t, "kind")
	if len(claims) == 0 && kind < 9 {
		kind = 9
	}
	var target *assertion.Assertion
	if len(claims) > 0 {
		target = rapid.SampledFrom(claims).Draw(t, "target")
	}
	switch kind {
	case 0:
		v := &assertion.Vote{AssertionHash: target.ContentHash(), Weight: weight, Timestamp: when}
		v.Sign(signer)
		return v
	case 1, 2:
		s := &assertion.Supersession{Superseded: target.ContentHash(), Type: assertion.Retracts, Timestamp: when}
		if by := rapid.SampledFrom(claims).Draw(t, "by").ContentHash(); by != s.Superseded {
			s.By, s.Type = &by, rapid.SampledFrom([]assertion.SupersessionType{assertion.Replaces, assertion.Refines}).Draw(t, "type")
		}
		s.Sign(signer)
		return s
	case 3:
		return &assertion.SourceStatus{Source: target.SourceHash, Retracted: rapid.Bool().Draw(t, "retracted"), Reason: "r"}
	case 4:
		return &assertion.Alias{Name: name.Draw(t, "alias"), Canonical: name.Draw(t, "canonical") + "x", Removed: rapid.Bool().Draw(t, "removed")}
	case 5:
		e := &assertion.Epoch{Name: name.Draw(t, "epoch"), Timestamp: when}
		if len(epochs) > 0 {
			h := rapid.SampledFrom(epochs).Draw(t, "older")
			e.Supersedes, e.SupersessionType = &h, rapid.SampledFrom([]assertion.SupersessionType{assertion.Replaces, assertion.Refines}).Draw(t, "type")
		}
		e.Sign(signer)
		return e
	case 6: // a transition
		a := drawAssertion(t)
		h := target.ContentHash()
		a.Subject, a.Predicate, a.Object, a.SourceHash = target.Subject, target.Predicate, target.Object, target.SourceHash
		a.ParentHash, a.Signatures = &h, nil
		a.Sign(signer, a.Timestamp)
		return a
	case 7: // a co-signature
		a := *target
		a.Signatures = nil
		a.Sign(signer, 1)
		return &a
	case 8:
		return &assertion.Decision{Claim: target.ContentHash(), Approved: rapid.Bool().Draw(t, "approved"), Reviewer: "ops", Reason: "r"}
	}
	return drawAssertion(t)
}

// drawAdmission draws what the node that takes in an entry may have decided.
func drawAdmission(t *rapid.T) (a assertion.Admission) {
	if rapid.IntRange(0, 2).Draw(t, "found") == 0 {
		a.Findings = []assertion.Finding{{Code: "pattern", Rule: "casino"}}
		a.Quarantine = rapid.Bool().Draw(t, "quarantine")
	}
	if rapid.IntRange(0, 4).Draw(t, "admin") == 0 {
		a.Authority = "ops-1"
	}
	return a
}

// remembered is everything that answers rest on, as text.
func remembered(t *rapid.T, v *View) string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	it := v.Scan(assertion.Filter{Lifecycles: assertion.Lifecycles(), Superseded: true, Retracted: true, Quarantined: true})
	for it.Next() {
		c := it.Claim()
		say("claim %s %s %t %t %s %v", c.Hash, c.Stage, c.Superseded, c.SourceRetracted, c.Review, c.Findings)
		for i, s := range c.Signatures {
			say("  signed by %s at %d", s.AgentID, c.SignatureCommits[i].Index)
		}
		votes, err := v.Votes(c.Hash, math.MaxUint64)
		must(err)
		for _, vote := range votes {
			say("  %s votes %g", vote.Entry.AgentID, vote.Entry.Weight)
		}
		again, err := v.Get(c.Hash)
		must(err)
		if again.Stage != c.Stage || len(again.Signatures) != len(c.Signatures) {
			t.Fatalf("Get and Scan differ on %s", c.Hash)
		}
	}
	must(it.Close())
	for _, name := range []string{"a", "ax", "b", "c"} {
		names, _, err := v.Aliases(name)
		must(err)
		slices.Sort(names)
		say("%s is %s", name, strings.Join(names, " "))
	}
	epochs, err := v.SupersededEpochs()
	must(err)
	for _, old := range slices.SortedFunc(mapKeys(epochs), compareHashes) {
		say("epoch %s by %s", old, epochs[old])
	}
	subjects, _, err := v.Subjects("", "", 100)
	must(err)
	say("subjects %s", strings.Join(subjects, " "))
	return strings.Join(out, "\n")
}

func mapKeys(m map[assertion.Hash]assertion.Hash) func(func(assertion.Hash) bool) {
	return func(yield func(assertion.Hash) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func compareHashes(a, b assertion.Hash) int { return cmp.Compare(a.String(), b.String()) }

// What was known at a time is the same however much is known later: claims,
// signers, stages, supersessions, retractions, votes, epochs and aliases. And at
// every moment the aggregates, from which retracted sources are taken out while
// they are read, equal the plain scan.
func TestThePastNeverChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open("db", Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var claims []*assertion.Assertion
		var epochs []assertion.Hash
		past := map[uint64]string{}
		clock, log := uint64(1000), uint64(0)
		for range rapid.IntRange(1, 25).Draw(t, "entries") {
			log++
			clock += rapid.Uint64Range(0, 2).Draw(t, "pause")
			e := drawEntry(t, claims, epochs)
			outcome := put(t, db, e, assertion.Commit{Position: assertion.Position{Index: log}, At: clock}, drawAdmission(t))
			if outcome == Created || outcome == Quarantined {
				switch e := e.(type) {
				case *assertion.Assertion:
					claims = append(claims, e)
				case *assertion.Epoch:
					epochs = append(epochs, e.Hash())
				}
			}
			viewing(t, db, func(v *View) {
				past[clock] = remembered(t, v) // the last entry of a second counts
				checkTallies(t, v)
			})
		}
		for at, want := range past {
			viewing(t, db, func(v *View) {
				v.KnownAt(at)
				if got := remembered(t, v); got != want {
					t.Errorf("as known at %d:\n%s\nit was\n%s", at, got, want)
				}
			})
		}
	})
}

// viewing closes the view in any case: the index, when it is closed, waits for
// it.
func viewing(t *rapid.T, db *DB, look func(*View)) {
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}()
	look(v)
}

// put applies a log entry of its own that holds e.
func put(t rapid.TB, db *DB, e assertion.Entry, c assertion.Commit, admission assertion.Admission) Outcome {
	batch, err := db.NewBatch()
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	var outcome Outcome
	if a, ok := e.(*assertion.Assertion); ok {
		outcome, err = batch.Assert(a, a.ContentHash(), c, admission)
	} else {
		record, encoded := e.MarshalBinary()
		if encoded != nil {
			t.Fatal(encoded)
		}
		outcome, _, err = batch.Put(e, record, c, admission)
	}
	if err != nil {
		t.Fatal(err)
	}
	batch.SetApplied(Applied{Index: c.Index, Term: 1, CommittedAt: c.At})
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	return outcome
}

// checkTallies holds the aggregates of every question to the plain scan, and
// the list of contested questions to those that have several values.
func checkTallies(t *rapid.T, v *View) {
	contested := map[assertion.Question]bool{}
	listed, _, err := v.Contested("", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range listed {
		contested[q] = true
	}
	for _, subject := range []string{"a", "ab", "b"} {
		for _, predicate := range []string{"p", "q"} {
			for _, at := range []uint64{testNow - 1000, testNow + 2, testNow + 5*365*86400} {
				it := v.Scan(assertion.Filter{Subject: subject, Predicate: predicate})
				var claims []*assertion.Claim
				for it.Next() {
					claims = append(claims, it.Claim())
				}
				if err := it.Close(); err != nil {
					t.Fatal(err)
				}
				got, err := v.Tally(subject, predicate, at)
				if err != nil {
					t.Fatal(err)
				}
				want := assertion.NewTally(subject, predicate, claims, at)
				if diff := tallyDiff(got, want); diff != "" {
					t.Fatalf("%s %s at %d: %s", subject, predicate, at, diff)
				}
				if len(got.Values) > 1 && !contested[assertion.Question{Subject: subject, Predicate: predicate}] {
					t.Fatalf("%s %s has %d values and is not among the contested questions", subject, predicate, len(got.Values))
				}
			}
		}
	}
}

// The feed has every claim, signature and entry once, in the order of the log,
// whatever the size of its pages, and claims as they first were.
func TestTheFeedIsTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open("db", Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var claims []*assertion.Assertion
		var want []string
		for log := uint64(1); log <= uint64(rapid.IntRange(1, 20).Draw(t, "entries")); log++ {
			e := drawEntry(t, claims, nil)
			outcome := put(t, db, e, assertion.Commit{Position: assertion.Position{Index: log}, At: log}, assertion.Admission{})
			kind := e.Kind()
			switch a, ok := e.(*assertion.Assertion); {
			case outcome == Cosigned:
				kind = assertion.KindCosignature
			case outcome != Created:
				continue
			case ok:
				claims = append(claims, a)
			}
			want = append(want, fmt.Sprintf("%d %s", log, kind))
		}
		var got []string
		page := rapid.IntRange(1, 5).Draw(t, "page")
		viewing(t, db, func(v *View) {
			for after, more := (assertion.Position{}), true; more; {
				events, err := v.Feed(after, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					if e.Claim != nil && e.Claim.Stage != e.Claim.Lifecycle {
						t.Errorf("a claim of the feed has the later stage %s", e.Claim.Stage)
					}
					got = append(got, fmt.Sprintf("%d %s", e.Commit.Index, e.Kind))
					after = e.Commit.Position
				}
				more = len(events) > 0
			}
		})
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("feed %q, log %q", got, want)
		}
	})
}

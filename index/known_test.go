package index

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

// cutOff is what bounded reads make of some filters, as text: what a scan finds
// before its bound, whether that ended it, and every page with its cursor.
func cutOff(t *rapid.T, v *View, most int) string {
	var out strings.Builder
	agent, source := assertion.AgentOf(testKeys[0]), assertion.Hash{1}
	everything := assertion.Filter{Lifecycles: assertion.Lifecycles(), Superseded: true, Retracted: true}
	ofAgent := everything
	ofAgent.Agent = &agent
	asOf := uint64(testNow)
	for _, f := range []assertion.Filter{
		{}, everything, ofAgent, {Agent: &agent}, {Source: &source}, {Subject: "a"}, {Subject: "a", SubjectPrefix: true},
		{Subject: "a", Predicate: "p"}, {Predicate: "q", AsOf: &asOf}, {MinConfidence: 0.5},
	} {
		it := v.Scan(f)
		it.StopAfter(most)
		for it.Next() {
			fmt.Fprintln(&out, "scan", it.Claim().Hash, it.Claim().Stage)
		}
		fmt.Fprintln(&out, "stopped", it.Stopped(), it.Scanned())
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		for cursor, more := "", true; more; more = cursor != "" {
			claims, next, err := v.page(f, cursor, 2, most)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range claims {
				fmt.Fprintln(&out, "page", c.Hash)
			}
			fmt.Fprintln(&out, "next", next)
			cursor = next
		}
	}
	return out.String()
}

// A bounded read of a past state cuts off at the same place however many claims
// and signatures arrive later.
func TestBoundsCutThePastOffAtTheSamePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		db, err := Open("db", Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		most := rapid.IntRange(1, 4).Draw(t, "bound")
		var claims []*assertion.Assertion
		past := map[uint64]string{}
		clock, log := uint64(1000), uint64(0)
		for range rapid.IntRange(1, 25).Draw(t, "entries") {
			log += rapid.Uint64Range(1, 3).Draw(t, "entries without a claim")
			clock += rapid.Uint64Range(0, 2).Draw(t, "pause")
			e := drawEntry(t, claims, nil)
			outcome := put(t, db, e, assertion.Commit{Position: assertion.Position{Index: log}, At: clock}, assertion.Admission{})
			if a, ok := e.(*assertion.Assertion); ok && outcome == Created {
				claims = append(claims, a)
			}
			viewing(t, db, func(v *View) {
				v.KnownAt(clock)
				past[clock] = cutOff(t, v, most) // the last entry of a second counts
			})
		}
		viewing(t, db, func(v *View) {
			for at, want := range past {
				v.KnownAt(at)
				if got := cutOff(t, v, most); got != want {
					t.Fatalf("as known at %d:\n%s\nit was\n%s", at, got, want)
				}
			}
		})
	})
}

func TestTheFirstUnknownClaim(t *testing.T) {
	db, err := Open("db", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 0, 250, 50, plain) // entries 1, 51, 101, 151 and 201, committed at 0, 50, 100, 150 and 200
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for at, want := range map[uint64]seq{
		0:   newSeq(assertion.Position{Index: 51}),
		49:  newSeq(assertion.Position{Index: 51}),
		50:  newSeq(assertion.Position{Index: 101}),
		199: newSeq(assertion.Position{Index: 201}),
		200: pastEveryClaim(),
		999: pastEveryClaim(),
	} {
		if got, err := v.firstUnknown(at); err != nil || got != want {
			t.Errorf("at %d: %x, %v, want %x", at, got, err, want)
		}
	}
}

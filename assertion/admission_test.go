package assertion

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func genAdmission() *rapid.Generator[Admission] {
	return rapid.Custom(func(t *rapid.T) Admission {
		a := Admission{Authority: rapid.SampledFrom([]string{"", "ops-1"}).Draw(t, "authority"), Quarantine: rapid.Bool().Draw(t, "quarantine")}
		for range rapid.IntRange(0, 3).Draw(t, "findings") {
			a.Findings = append(a.Findings, Finding{Code: "pattern", Rule: rapid.SampledFrom([]string{"", "casino"}).Draw(t, "rule")})
		}
		if rapid.Bool().Draw(t, "worked") {
			a.Work = &Work{Agent: AgentID(genHash().Draw(t, "agent")), Nonce: rapid.Uint64().Draw(t, "nonce"), Timestamp: rapid.Uint64().Draw(t, "timestamp")}
			a.Tag = rapid.Uint64().Draw(t, "tag")
		}
		return a
	})
}

func TestAdmittedEntriesComeApartAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		admission, entry := genAdmission().Draw(t, "admission"), genEntry().Draw(t, "entry")
		raw, err := AppendEntry(nil, &Admitted{Entry: entry, Admission: admission})
		if err != nil || Kind(raw[0]) != KindAdmitted {
			t.Fatal(raw[:1], err)
		}
		got, inner, err := DecodeAdmitted(raw[1:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(admission, got); diff != "" {
			t.Fatal(diff)
		}
		want, err := AppendEntry(nil, entry)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, inner); diff != "" {
			t.Fatal(diff)
		}
		for cut := range raw[1:] {
			if _, rest, err := DecodeAdmitted(raw[1 : 1+cut]); err == nil && len(rest) >= len(inner) {
				t.Fatalf("reads %d of %d bytes", cut, len(raw)-1)
			}
		}
	})
}

func TestAdmissionsInAdmissionsAreRefused(t *testing.T) {
	raw, err := AppendEntry(nil, &Admitted{Entry: &Admitted{Entry: &Clock{}}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if _, _, err := DecodeAdmitted(raw[1:]); !errors.As(err, &refused) || refused.Code != CodeRecordInvalid {
		t.Fatalf("got %v, want record_invalid", err)
	}
}

func TestWorkCountsLeadingZeroBits(t *testing.T) {
	var agent AgentID
	raw, err := hex.DecodeString(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	copy(agent[:], raw)
	w, err := SolveWork(t.Context(), agent, 1_800_000_000, 12)
	if err != nil || w.Bits() < 12 {
		t.Fatalf("%d bits, %v", w.Bits(), err)
	}
	// Whatever the proof covers makes another proof.
	for _, other := range []Work{{Nonce: w.Nonce + 1, Agent: agent, Timestamp: w.Timestamp}, {Nonce: w.Nonce, Agent: AgentID{1}, Timestamp: w.Timestamp}, {Nonce: w.Nonce, Agent: agent, Timestamp: w.Timestamp + 1}} {
		if other.Bits() >= 40 {
			t.Fatalf("%+v has %d bits as if nothing counted", other, other.Bits())
		}
	}
	// BLAKE3-256 of 000000000016c839 abab…ab 000000006b49d200 is 00000043c2d65e92….
	if golden := (Work{Agent: agent, Nonce: 1493049, Timestamp: 1_800_000_000}); golden.Bits() != 25 {
		t.Fatalf("the golden proof has %d bits, want 25", golden.Bits())
	}
}

func TestSolvingEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if _, err := SolveWork(ctx, AgentID{}, 0, MaxWorkBits); !errors.Is(err, gone) {
		t.Fatalf("got %v, want %v", err, gone)
	}
	if _, err := SolveWork(t.Context(), AgentID{}, 0, MaxWorkBits+1); err == nil {
		t.Fatal("began work that nobody may ask for")
	}
}

func TestWorkIsTimelyWithinItsWindow(t *testing.T) {
	const at = 1_800_000_000
	w := Work{Timestamp: at}
	for now, want := range map[uint64]bool{at: true, at + WorkWindowSeconds: true, at + WorkWindowSeconds + 1: false, at - WorkWindowSeconds: true, at - WorkWindowSeconds - 1: false} {
		if w.Timely(now) != want {
			t.Errorf("%d s off: timely is %v", int64(now)-at, !want)
		}
	}
	if (Work{Timestamp: 1<<64 - 1}).Timely(uint64(time.Now().Unix())) {
		t.Error("a timestamp at the end of time is timely")
	}
}

func TestDecisionsSayWhoAndWhy(t *testing.T) {
	for name, d := range map[string]Decision{
		"no reviewer": {Reason: "spam"},
		"no reason":   {Reviewer: "ops"},
		"blank":       {Reviewer: "ops", Reason: "  "},
		"too long":    {Reviewer: "ops", Reason: strings.Repeat("x", MaxReasonBytes+1)},
		"a NUL":       {Reviewer: "ops", Reason: "x\x00"},
	} {
		var refused *Error
		if err := d.Validate(); !errors.As(err, &refused) || refused.Code != CodeDecisionInvalid {
			t.Errorf("%s: got %v, want decision_invalid", name, err)
		}
	}
	good := Decision{Reviewer: "ops", Reason: "read it"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if good.Review() != ReviewRejected || !good.Review().Hides() || ReviewApproved.Hides() || NotQuarantined.Hides() {
		t.Error("a rejected claim is to be hidden, an approved one not")
	}
}

func TestReviewsReadBack(t *testing.T) {
	for r := NotQuarantined; r <= ReviewRejected; r++ {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Review
		if err := got.UnmarshalText(text); err != nil || got != r {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
	if err := new(Review).UnmarshalText([]byte("maybe")); err == nil {
		t.Error("reads a state that does not exist")
	}
}

// What answers leave out, claim by claim and by the filter, is the same.
func TestHiddenClaimsMatchNoPlainFilter(t *testing.T) {
	for name, c := range map[string]Claim{
		"pending":      {Review: ReviewPending},
		"rejected":     {Review: ReviewRejected},
		"a transition": {Assertion: Assertion{ParentHash: &Hash{1}}},
	} {
		if c.Visible() || (Filter{}).Match(&c) {
			t.Errorf("%s: visible %v, matched %v", name, c.Visible(), (Filter{}).Match(&c))
		}
		if want := !c.Transition(); (Filter{Quarantined: true}).Match(&c) != want {
			t.Errorf("%s: a filter that includes quarantined claims matches: %v", name, !want)
		}
	}
	if c := (Claim{Review: ReviewApproved}); !c.Visible() || !(Filter{}).Match(&c) {
		t.Error("an approved claim is hidden")
	}
}

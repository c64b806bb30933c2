package assertion

import (
	"slices"
	"testing"
)

func TestPositionOrder(t *testing.T) {
	ordered := []Position{{0, 0}, {0, 1}, {1, 0}, {1, 65535}, {2, 3}}
	for i, p := range ordered {
		for j, o := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := p.Compare(o); got != want {
				t.Errorf("%v against %v: %d", p, o, got)
			}
		}
	}
}

func claimAt(timestamp, index uint64, offset uint16) *Claim {
	return &Claim{Assertion: Assertion{Timestamp: timestamp}, Commit: Commit{Position: Position{index, offset}}}
}

func TestNewerClaim(t *testing.T) {
	ordered := []*Claim{claimAt(1, 9, 9), claimAt(2, 1, 0), claimAt(2, 1, 1), claimAt(2, 2, 0), claimAt(3, 0, 0)}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := NewerClaim(a, b); got != (i > j) {
				t.Errorf("claim %d newer than %d: %v", i, j, got)
			}
		}
	}
}

func TestFilterMatch(t *testing.T) {
	epoch, otherEpoch, class, otherClass := Hash{1}, Hash{2}, Clinical, Expert
	signer, stranger, source, otherSource := AgentID{3}, AgentID{4}, Hash{5}, Hash{6}
	claim := &Claim{Assertion: Assertion{
		Subject: "Semaglutide:Type2Diabetes", Predicate: "nausea_rate", Confidence: 0.5, SourceClass: class,
		SourceHash: source, Epoch: &epoch, Signatures: []Signature{{AgentID: AgentID{9}}, {AgentID: signer}}}, Stage: Approved}
	for _, test := range []struct {
		name   string
		filter Filter
		want   bool
	}{
		{"zero", Filter{}, true},
		{"subject", Filter{Subject: "Semaglutide:Type2Diabetes"}, true},
		{"part of the subject", Filter{Subject: "Semaglutide"}, false},
		{"prefix of the subject", Filter{Subject: "Semaglutide", SubjectPrefix: true}, true},
		{"empty prefix", Filter{SubjectPrefix: true}, true},
		{"other prefix", Filter{Subject: "Tirzepatide", SubjectPrefix: true}, false},
		{"predicate", Filter{Predicate: "nausea_rate"}, true},
		{"part of the predicate", Filter{Predicate: "nausea"}, false},
		{"stage", Filter{Lifecycles: []Lifecycle{Rejected, Approved}}, true},
		{"other stage", Filter{Lifecycles: []Lifecycle{Proposed}}, false},
		{"no stage", Filter{Lifecycles: []Lifecycle{}}, false},
		{"epoch", Filter{Epoch: &epoch}, true},
		{"other epoch", Filter{Epoch: &otherEpoch}, false},
		{"class", Filter{SourceClass: &class}, true},
		{"other class", Filter{SourceClass: &otherClass}, false},
		{"second signer", Filter{Agent: &signer}, true},
		{"stranger", Filter{Agent: &stranger}, false},
		{"source", Filter{Source: &source}, true},
		{"other source", Filter{Source: &otherSource}, false},
		{"confidence reached", Filter{MinConfidence: 0.5}, true},
		{"confidence not reached", Filter{MinConfidence: 0.51}, false},
		{"one of two not met", Filter{Subject: "Semaglutide", SubjectPrefix: true, Predicate: "x"}, false},
	} {
		if got := test.filter.Match(claim); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	hidden := *claim
	hidden.Stage, hidden.Epoch = Deprecated, nil
	if (Filter{}).Match(&hidden) || !(Filter{Lifecycles: []Lifecycle{Deprecated}}).Match(&hidden) {
		t.Error("a deprecated claim shows only when asked for")
	}
	if (Filter{Epoch: &epoch, Lifecycles: []Lifecycle{Deprecated}}).Match(&hidden) {
		t.Error("a claim without epoch is in an epoch")
	}
	if !slices.ContainsFunc(claim.Signatures, func(s Signature) bool { return s.AgentID == signer }) || claim.HasSigner(stranger) {
		t.Error("HasSigner")
	}
}

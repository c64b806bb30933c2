package v1_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

func claim(t *testing.T) *assertion.Claim {
	t.Helper()
	a := assertion.Assertion{
		Subject: "s", Predicate: "p", Object: assertion.Number(1.5), Confidence: 0.5, SourceClass: assertion.Expert,
		SourceHash: assertion.Hash{1}, SourceMetadata: []byte(`{"a":1}`), Lifecycle: assertion.UnderReview,
		ParentHash: &assertion.Hash{2}, Epoch: &assertion.Hash{3}, VisualHash: &assertion.VisualHash{4},
		Vector: []float32{1, 2}, DerivedFrom: []assertion.Hash{{5}}, Timestamp: 100,
	}
	for _, seed := range []string{"one", "two"} {
		a.Sign(ed25519.NewKeyFromSeed([]byte((seed + strings.Repeat(".", 32))[:32])), 101)
	}
	return &assertion.Claim{Assertion: a, Hash: a.ContentHash(), Stage: assertion.Approved,
		Commit: assertion.Commit{Position: assertion.Position{Index: 7}, At: 200},
		SignatureCommits: []assertion.Commit{
			{Position: assertion.Position{Index: 7}, At: 200}, {Position: assertion.Position{Index: 9}, At: 210}}}
}

// An answer that crossed the wire still gives what was signed, to the bit.
func TestAssertionKeepsWhatWasSigned(t *testing.T) {
	c := claim(t)
	sent, err := json.Marshal(v1.FromClaim(c))
	if err != nil {
		t.Fatal(err)
	}
	var got v1.Assertion
	if err := json.Unmarshal(sent, &got); err != nil {
		t.Fatal(err)
	}
	signed := got.Signed()
	if signed.ContentHash() != c.Hash {
		t.Errorf("content changed on the way: %s", sent)
	}
	if err := signed.Verify(assertion.VerifyOptions{}); err != nil {
		t.Error(err)
	}
	if got.Lifecycle != assertion.Approved || got.StatedLifecycle != assertion.UnderReview {
		t.Errorf("lifecycle %s, stated %s", got.Lifecycle, got.StatedLifecycle)
	}
	if got.LogIndex != 7 || got.CommittedAt != 200 || got.Signatures[1].LogIndex != 9 || got.Signatures[1].CommittedAt != 210 {
		t.Errorf("commits: %+v", got)
	}
}

func TestSignatureVersionIsTheLowest(t *testing.T) {
	c := claim(t)
	if got := v1.FromClaim(c).SignatureVersion; got != 2 {
		t.Errorf("version %d, want 2", got)
	}
	c.Signatures[1].Version = assertion.SignatureV1
	if got := v1.FromClaim(c).SignatureVersion; got != 1 {
		t.Errorf("version %d, want 1", got)
	}
}

func TestProblemIsAnError(t *testing.T) {
	p := v1.Problem{Code: "limit", Field: "a", Detail: "too much", Fix: "send less"}
	if got, want := p.Error(), "limit: a: too much; send less"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (&v1.Problem{Code: "internal", Detail: "broken"}).Error(), "internal: broken"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"0", "1.0", "18446744073709551615.65535", "1.", ".1", "-1", "1.65536", "+1.+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := v1.ParsePosition(s)
		if err != nil {
			return
		}
		if again, err := v1.ParsePosition(v1.FormatPosition(p)); err != nil || again != p {
			t.Errorf("%q is %+v, written and read again %+v (%v)", s, p, again, err)
		}
	})
}

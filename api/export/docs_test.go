package export

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

// example is the export that docs/export.md shows.
func example(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{ClusterID: "4f2c9a10-6d1b-4f0e-9a3e-0c5d2b7a8e61", Index: 5, CommittedAt: at, Software: "stemedb 0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	source := &assertion.Source{Title: "label", SourceClass: assertion.Regulatory, Content: "100 mg"}
	source.Hash = blake3.Sum256([]byte(source.Content))
	a := &assertion.Assertion{Subject: "Aspirin", Predicate: "dose", Object: assertion.Number(100), Confidence: 0.9, SourceClass: assertion.Regulatory, SourceHash: source.Hash, Timestamp: at}
	joined := *a
	a.Sign(key("first"), at)
	joined.Sign(key("second"), at)
	v := &assertion.Vote{AssertionHash: a.ContentHash(), Weight: 0.5, Timestamp: at}
	v.Sign(key("second"))
	for i, e := range []*assertion.Event{
		{Kind: assertion.KindSource, Entry: source}, {Kind: assertion.KindAssertion, Claim: &assertion.Claim{Assertion: *a}},
		{Kind: assertion.KindCosignature, Entry: &assertion.Cosignature{Assertion: &joined, Hash: joined.ContentHash()}}, {Kind: assertion.KindVote, Entry: v},
	} {
		e.Commit = assertion.Commit{Position: assertion.Position{Index: uint64(2 + i)}, At: at}
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The page's example is a real export, so that a reader in another language can
// be held to it.
func TestTheDocumentedExampleHolds(t *testing.T) {
	page, err := os.ReadFile("../../docs/export.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	shown, _, _ := strings.Cut(rest, "```")
	if want := string(example(t)); shown != want {
		t.Errorf("docs/export.md does not show\n%s", want)
	}
	if _, err := verify([]byte(shown)); err != nil {
		t.Error(err)
	}
}

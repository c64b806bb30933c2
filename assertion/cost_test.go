package assertion

import (
	"encoding/json"
	"testing"

	"github.com/stemedb/stemedb/internal/costs"
)

// TestCost holds what the parts of a write cost that see the bytes of a claim.
func TestCost(t *testing.T) {
	claim := benchAssertion(1)
	text, err := json.Marshal(claim)
	if err != nil {
		t.Fatal(err)
	}
	record, err := AppendEntry(nil, claim)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _, err := OpenEntry(record)
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]*Assertion, 100)
	for i := range batch {
		batch[i] = benchAssertion(byte(i))
	}
	decoder := NewRecordDecoder()
	for _, c := range []struct {
		operation string
		each      int
		do        func() error
	}{
		{"read a claim from JSON", 1, func() error { _, err := DecodeJSON(text); return err }},
		{"check a claim", 1, claim.Validate},
		{"hash a claim", 1, func() error { claim.ContentHash(); return nil }},
		{"verify a claim", 1, func() error { return claim.Verify(VerifyOptions{}) }},
		{"verify a claim of 100", len(batch), func() error {
			for _, err := range VerifyBatch(batch, VerifyOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"encode a claim for the log", 1, func() error { _, err := AppendEntry(nil, claim); return err }},
		{"decode a claim from the log", 1, func() error { _, _, err := decoder.Decode(body); return err }},
		{"write a claim as JSON", 1, func() error { _, err := json.Marshal(claim); return err }},
	} {
		t.Run(c.operation, func(t *testing.T) {
			costs.HoldMemory(t, c.operation, max(10, 100/c.each), c.each, func() {
				if err := c.do(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

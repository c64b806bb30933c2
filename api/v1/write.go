package v1

import (
	"github.com/stemedb/stemedb/assertion"
)

// Status is what became of a claim that was sent.
type Status string

// The statuses.
const (
	// StatusCreated: the claim is new.
	StatusCreated Status = "created"
	// StatusExists: the claim and every signature on it were there already.
	StatusExists Status = "exists"
	// StatusCosigned: the claim was there; a signer was added.
	StatusCosigned Status = "cosigned"
	// StatusQuarantined: the content defence keeps the claim out of answers until
	// it is reviewed.
	StatusQuarantined Status = "quarantined"
	// StatusRefused: the claim was not stored; only a line of a batch has it.
	StatusRefused Status = "refused"
)

// AssertResponse answers POST /v1/assert: 201 if created, 202 if quarantined,
// else 200.
type AssertResponse struct {
	Hash   assertion.Hash `json:"hash"`
	Status Status         `json:"status"`
	// Index is the log index at which the claim was decided.
	Index uint64 `json:"index"`
	// Findings are what the content defence found, if it stopped or marked the
	// claim.
	Findings []assertion.Finding `json:"findings,omitempty"`
}

// BatchResponse answers POST /v1/assert/batch.
type BatchResponse struct {
	// Results has one entry per claim sent, in order.
	Results []BatchResult `json:"results"`
	// Index is the highest log index at which a claim was decided; 0 if every
	// line was refused before it reached the log.
	Index uint64 `json:"index"`
}

// RestoreResponse answers POST /v1/cluster/restore.
type RestoreResponse struct {
	// Added is how many records changed something, Existing how many the cluster
	// had, or knew better.
	Added    int `json:"added"`
	Existing int `json:"existing"`
	// Refused are the others.
	Refused []RestoreRefusal `json:"refused"`
	// Index is the highest log index at which a record was decided; 0 if none
	// reached the log.
	Index uint64 `json:"index"`
}

// RestoreRefusal is a record that was refused.
type RestoreRefusal struct {
	// Record is its place in the request, from 0.
	Record int    `json:"record"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// BatchResult is what became of one claim of a batch.
type BatchResult struct {
	// Line is the claim's line in NDJSON, its place in an array; from 1.
	Line int `json:"line"`
	// Hash is absent if the line could not be read as a claim.
	Hash   *assertion.Hash `json:"hash,omitempty"`
	Status Status          `json:"status"`
	// Findings are what the content defence found, if it stopped or marked the
	// claim.
	Findings []assertion.Finding `json:"findings,omitempty"`
	// Code, Field, Detail and Fix say why a line was refused, as in a Problem.
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// PrepareResponse answers POST /v1/assert/prepare.
type PrepareResponse struct {
	// Hash is the content hash of the claim as it stands in Assertion.
	Hash assertion.Hash `json:"hash"`
	// Content is the canonical CBOR that Hash was made of, in hex.
	Content string `json:"content"`
	// Sign is the 32 bytes that a version 2 signature covers, in hex.
	Sign string `json:"sign"`
	// Assertion is the normalised claim without signatures. Add signatures to it
	// and send it to POST /v1/assert.
	Assertion assertion.Assertion `json:"assertion"`
}

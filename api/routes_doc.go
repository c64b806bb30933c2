package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// The documentation of the routes that take or give claims.

const (
	tagClaims     = "Claims"
	tagAnswers    = "Answers"
	tagHistory    = "History"
	tagKnowledge  = "Knowledge"
	tagTrust      = "Trust"
	tagKeys       = "Keys"
	tagDefense    = "Defence"
	tagCluster    = "Cluster"
	tagOperations = "Operations"
)

// exampleClaim is the body that the documentation shows.
const exampleClaim = `{
  "subject": "Semaglutide",
  "predicate": "nausea_rate",
  "object": {"type": "Number", "value": 20.3},
  "confidence": 0.95,
  "source_class": "Regulatory",
  "source_hash": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
  "timestamp": 1735689600,
  "signatures": []
}`

// claimCodes are the faults that a claim may have, but for its signatures.
func claimCodes() []string {
	return []string{
		assertion.CodeInvalidJSON, assertion.CodeUnknownField, assertion.CodeDuplicateField, assertion.CodeMissingField,
		assertion.CodeInvalidField, assertion.CodeHashInvalid, assertion.CodeSubjectInvalid, assertion.CodePredicateInvalid,
		assertion.CodeObjectInvalid, assertion.CodeNumberNotFinite, assertion.CodeConfidenceOutOfRange,
		assertion.CodeSourceClassInvalid, assertion.CodeSourceMetadataInvalid, assertion.CodeLifecycleInvalid,
		assertion.CodeVectorInvalid, assertion.CodeDerivedFromInvalid, assertion.CodeTimestampInFuture,
		assertion.CodeTooLarge, assertion.CodeTooManySignatures,
	}
}

func signatureCodes() []string {
	return []string{
		assertion.CodeUnsigned, assertion.CodeDuplicateSigner, assertion.CodeSignatureInvalid,
		assertion.CodeSignatureVersionUnsupported, assertion.CodeSignatureV1Disabled, assertion.CodeSignatureVersionsMixed,
	}
}

func bodyCodes() []string {
	return []string{v1.CodeUnsupportedMediaType, v1.CodeUnsupportedEncoding, v1.CodeBodyTooLarge, v1.CodeBodyUnreadable}
}

func writeCodes() []string {
	return []string{v1.CodeNoLeader, v1.CodeOutcomeUnknown, v1.CodeOverloaded, v1.CodeStopping, v1.CodeRecovering, v1.CodeNodeRemoved,
		v1.CodeNodeFailed}
}

func readCodes() []string {
	return []string{v1.CodeInvalidParameter, v1.CodeMissingParameter, v1.CodeNoLeader, v1.CodeTooStale, v1.CodeStopping, v1.CodeNodeRemoved,
		v1.CodeRecovering, v1.CodeNodeFailed, v1.CodeMinIndexNotReached, v1.CodeTimeout}
}

func assertDoc() operation {
	return operation{
		id: "assert", tag: tagClaims, summary: "Store one signed claim",
		description: "The claim is stored on a quorum before the answer. The same content again by the same signer answers `exists`; by another signer it answers `cosigned`. A request whose outcome is unknown may be repeated as it is. With `parent_hash` the claim is a lifecycle transition of its parent and must share a signer with it, or come with an admin key. What the content defence quarantines is stored, answers leave it out, and the answer is 202.",
		body:        &bodyDoc{description: "The claim with its signatures.", media: []string{v1.MediaJSON}, schemas: []string{"AssertionInput"}, example: exampleClaim},
		answers: []answerDoc{
			{http.StatusCreated, "The claim is new.", v1.MediaJSON, "AssertResponse"},
			{http.StatusOK, "The claim exists, or gained a signer.", v1.MediaJSON, "AssertResponse"},
			{http.StatusAccepted, "The claim waits for a review; answers leave it out until it is approved.", v1.MediaJSON, "AssertResponse"},
		},
		codes: slices.Concat(claimCodes(), signatureCodes(), bodyCodes(), writeCodes(),
			[]string{v1.CodeNotOwner, v1.CodeParentNotFound, v1.CodeParentDiffers, v1.CodeSignatureV1Cosign, v1.CodeSignersFull, v1.CodeContentRefused}),
	}
}

func batchDoc() operation {
	return operation{
		id: "assertBatch", tag: tagClaims, summary: "Store many signed claims",
		description: "Lines are independent: one that is refused does not touch the others. Results come in the order of the lines. At most 1000 claims and 8 MiB.",
		body: &bodyDoc{description: "One claim per line, or a JSON array of claims.", media: []string{v1.MediaNDJSON, v1.MediaJSON},
			schemas: []string{"", "AssertionInputs"}},
		answers: []answerDoc{{http.StatusOK, "What became of each line.", v1.MediaJSON, "BatchResponse"}},
		codes:   slices.Concat(bodyCodes(), writeCodes(), []string{assertion.CodeInvalidJSON, v1.CodeBatchEmpty, v1.CodeBatchTooLong}),
	}
}

func prepareDoc() operation {
	return operation{
		id: "prepare", tag: tagClaims, summary: "Canonical bytes and hash to sign",
		description: "For clients without a CBOR encoder: holds the claim to everything but its signatures, normalises it, and returns the bytes that an Ed25519 signature of version 2 covers. Stores nothing.",
		body:        &bodyDoc{description: "The claim; its signatures are ignored.", media: []string{v1.MediaJSON}, schemas: []string{"AssertionInput"}, example: exampleClaim},
		answers:     []answerDoc{{http.StatusOK, "What to sign, and the claim to add the signature to.", v1.MediaJSON, "PrepareResponse"}},
		codes:       slices.Concat(claimCodes(), bodyCodes()),
	}
}

func claimDoc() operation {
	return operation{
		id: "assertion", tag: tagAnswers, summary: "One claim by its hash",
		description: "With signatures, votes, lifecycle, supersessions, source and place in the log, whatever its stage.",
		params:      slices.Concat([]paramDoc{hashParamDoc("The content hash.")}, pastParams(), consistencyParams()),
		answers:     []answerDoc{{http.StatusOK, "The claim.", v1.MediaJSON, "AssertionDetail"}},
		codes:       slices.Concat(readCodes(), []string{assertion.CodeHashInvalid, v1.CodeAssertionNotFound}),
	}
}

func queryDoc() operation {
	return operation{
		id: "query", tag: tagAnswers, summary: "Claims, and what a lens makes of them",
		description: "Without `lens`: the claims that the filters select, newest first (for a subject prefix by subject, then newest first). With `lens`, subject and predicate must be given exactly; the answer has a `resolution` beside the same list, whose claims then carry their `effective_confidence`.",
		params: slices.Concat([]paramDoc{
			{in: inQuery, name: "subject", schema: nameSchema, example: "Semaglutide", description: "Exact, or a prefix that ends in `*`."},
			{in: inQuery, name: "predicate", schema: nameSchema, example: "nausea_rate", description: "Exact."},
			{in: inQuery, name: "lens", schema: `{"type":"string"}`, example: "consensus",
				description: "How to resolve the question: " + strings.Join(lens.Names(), ", ") + "; a filter may stand before another lens, as in epoch,consensus."},
		}, filterParams(), askParams(), receiptParam(), pastParams(), listParams(), []paramDoc{
			{in: inQuery, name: "cursor", schema: `{"type":"string","minLength":1}`, description: "`next_cursor` of the page before, with the same filters."},
		}, consistencyParams()),
		answers: []answerDoc{{http.StatusOK, "Claims and resolution.", v1.MediaJSON, "QueryResponse"}},
		codes:   slices.Concat(readCodes(), []string{v1.CodeUnknownLens, v1.CodeBadCursor}),
	}
}

func skepticDoc() operation {
	return operation{
		id: "skeptic", tag: tagAnswers, summary: "How contested a question is",
		description: "Every value of the question with its share of the support, and how much they disagree: `conflict_score` is the entropy of the shares over ln(values), `disagreement` is 1 − the largest share.",
		params:      slices.Concat(questionParams(), filterParams(), askParams(), receiptParam(), pastParams(), listParams(), consistencyParams()),
		answers:     []answerDoc{{http.StatusOK, "The values by falling share.", v1.MediaJSON, "SkepticResponse"}},
		codes:       readCodes(),
	}
}

func layeredDoc() operation {
	return operation{
		id: "layered", tag: tagAnswers, summary: "The answer of each source class",
		description: "Each source class resolved on its own, strongest first; the winner of the strongest class with claims is that of the whole.",
		params:      slices.Concat(questionParams(), filterParams(), askParams(), receiptParam(), pastParams(), consistencyParams()),
		answers:     []answerDoc{{http.StatusOK, "The classes with claims.", v1.MediaJSON, "LayeredResponse"}},
		codes:       readCodes(),
	}
}

func questionParams() []paramDoc {
	return []paramDoc{
		{in: inQuery, name: "subject", schema: nameSchema, required: true, example: "Semaglutide", description: "Exact."},
		{in: inQuery, name: "predicate", schema: nameSchema, required: true, example: "nausea_rate", description: "Exact."},
	}
}

func filterParams() []paramDoc {
	return []paramDoc{
		{in: inQuery, name: "lifecycle", schema: `{"type":"string"}`, example: "Proposed,Approved",
			description: "Current stages, separated by commas. Default: all but Deprecated and Rejected."},
		{in: inQuery, name: "epoch", schema: hashSchema, description: "Claims of this epoch."},
		{in: inQuery, name: "source_class", schema: `{"type":"string"}`, example: "Clinical", description: "Claims of this source class."},
		{in: inQuery, name: "agent_id", schema: hashSchema, description: "Claims that this agent signed."},
		{in: inQuery, name: "source_hash", schema: hashSchema, description: "Claims on this source."},
		{in: inQuery, name: "min_confidence", schema: `{"type":"number","minimum":0,"maximum":1}`, example: "0.5",
			description: "Least stated confidence, before decay."},
		{in: inQuery, name: "include", schema: `{"type":"string"}`, example: "superseded,retracted,quarantined",
			description: "Shows superseded claims, claims on retracted sources, quarantined claims, or several of these."},
	}
}

func listParams() []paramDoc {
	return []paramDoc{{in: inQuery, name: "limit", example: "100",
		schema:      fmt.Sprintf(`{"type":"integer","minimum":1,"maximum":%d,"default":%d}`, v1.MaxLimit, v1.DefaultLimit),
		description: "Most entries in a list of the answer; totals count beyond it."}}
}

func consistencyParams() []paramDoc {
	return []paramDoc{
		{in: inQuery, name: "consistency", schema: `{"type":"string","enum":["linearizable","bounded","local"],"default":"linearizable"}`, example: "linearizable",
			description: "linearizable sees every acknowledged write, bounded those older than `max_stale`, local what this node has applied."},
		{in: inQuery, name: "max_stale", schema: `{"type":"string"}`, example: "5",
			description: "With bounded: seconds, or a duration such as 500ms; at most an hour."},
		{in: inQuery, name: "min_index", schema: `{"type":"integer","minimum":0}`,
			description: "Waits until the node has applied this log index; send the index of your write to read it back."},
	}
}

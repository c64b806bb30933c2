package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// The documentation of the routes beside those of claims and their answers.

func hashParamDoc(description string) paramDoc {
	return paramDoc{in: inPath, name: "hash", schema: hashSchema, required: true, example: strings.Repeat("0", 64), description: description}
}

// askParams say how a question is read.
func askParams() []paramDoc {
	return []paramDoc{
		{in: inQuery, name: "aliases", schema: `{"type":"boolean","default":true}`, example: "true",
			description: "Reads the question under every name of its subject; the explanation lists them."},
		{in: inQuery, name: "tolerance", schema: `{"type":"string"}`, example: "1%",
			description: "Numbers this far apart count as one value: a distance (0.5) or a part of the larger magnitude (1%)."},
		{in: inQuery, name: "hierarchy", schema: `{"type":"boolean","default":false}`, example: "false",
			description: "A concept path does not contradict the paths below it, but counts for the strongest of them."},
		{in: inQuery, name: "explain", schema: `{"type":"boolean","default":false}`, example: "true",
			description: "Lists the voices behind the answer with what each weighs."},
	}
}

// receiptParam asks for a receipt.
func receiptParam() []paramDoc {
	return []paramDoc{{in: inQuery, name: "receipt", schema: `{"type":"boolean","default":false}`, example: "true",
		description: "Adds the node's signed statement of the answer with the claims that it follows from, at most 1000; `stemectl verify-receipt` checks it without a node."}}
}

// pastParams choose a past state.
func pastParams() []paramDoc {
	return []paramDoc{
		{in: inQuery, name: "as_of", schema: `{"type":"string"}`,
			description: "Unix seconds or RFC 3339: only claims and votes made by then, confidences decayed to then."},
		{in: inQuery, name: "known_at", schema: `{"type":"string"}`,
			description: "Unix seconds or RFC 3339: the state as it was committed by then. The answer never changes later."},
	}
}

func cursorParam() paramDoc {
	return paramDoc{in: inQuery, name: "cursor", schema: `{"type":"string","minLength":1}`, description: "`next_cursor` of the page before."}
}

// entryDoc documents a write of an entry that is no claim.
func entryDoc(id, tag, summary, description, schema, example string, codes ...string) operation {
	return operation{
		id: id, tag: tag, summary: summary, description: description,
		body: &bodyDoc{description: "The entry.", media: []string{v1.MediaJSON}, schemas: []string{schema}, example: example},
		answers: []answerDoc{
			{http.StatusCreated, "The entry is new.", v1.MediaJSON, "AssertResponse"},
			{http.StatusOK, "The entry changes nothing: it is there already.", v1.MediaJSON, "AssertResponse"},
		},
		codes: slices.Concat(codes, bodyCodes(), writeCodes(), []string{
			assertion.CodeInvalidJSON, assertion.CodeUnknownField, assertion.CodeDuplicateField, assertion.CodeMissingField,
			assertion.CodeInvalidField, assertion.CodeHashInvalid, assertion.CodeTooLarge,
		}),
	}
}

var signedCodes = []string{assertion.CodeUnsigned, assertion.CodeSignatureInvalid, assertion.CodeTimestampInFuture}

func voteDoc() operation {
	return entryDoc("vote", tagKnowledge, "Vote on a claim", "Signed (docs/signing.md). Of an agent's votes on a claim the newest counts.", "VoteContent",
		`{"assertion_hash": "`+zeros+`", "agent_id": "`+zeros+`", "weight": 1, "timestamp": 1735689600, "signature": "`+zeros+zeros+`"}`,
		slices.Concat(signedCodes, []string{assertion.CodeVoteInvalid, assertion.CodeNumberNotFinite, v1.CodeTargetNotFound})...)
}

func epochDoc() operation {
	return entryDoc("epoch", tagKnowledge, "Declare an epoch", "Signed. Claims name an epoch by its hash. Only the agent of an epoch may supersede it.", "EpochContent",
		`{"name": "guideline 2026", "agent_id": "`+zeros+`", "timestamp": 1735689600, "signature": "`+zeros+zeros+`"}`,
		slices.Concat(signedCodes, []string{assertion.CodeEpochInvalid, v1.CodeTargetNotFound, v1.CodeNotOwner})...)
}

func supersedeDoc() operation {
	return entryDoc("supersede", tagKnowledge, "Supersede or retract a claim",
		"Signed by a signer of the claim, with a reason. What is replaced or retracted is left out of answers from now on; what is refined stays. Nothing is deleted.", "SupersessionContent",
		`{"superseded": "`+zeros+`", "type": "Retracts", "reason": "typing error", "agent_id": "`+zeros+`", "timestamp": 1735689600, "signature": "`+zeros+zeros+`"}`,
		slices.Concat(signedCodes, []string{assertion.CodeSupersessionInvalid, v1.CodeTargetNotFound, v1.CodeNotOwner})...)
}

func registerSourceDoc() operation {
	return entryDoc("registerSource", tagKnowledge, "Describe a source", "What stands behind a `source_hash`. The newest description counts. With `content` the hash is that of the content.", "SourceInput",
		`{"title": "Prescribing information", "uri": "fda://label/215256", "source_class": "Regulatory", "content": "Nausea 44%"}`,
		assertion.CodeSourceInvalid, assertion.CodeSourceClassInvalid)
}

func statusDoc(id, summary, description string) operation {
	doc := entryDoc(id, tagKnowledge, summary, description, "Reason", `{"reason": "fabricated data"}`, assertion.CodeSourceInvalid, v1.CodeTargetNotFound)
	doc.params = []paramDoc{hashParamDoc("The source's hash.")}
	return doc
}

func aliasDoc() operation {
	return entryDoc("alias", tagKnowledge, "Join two names of one entity", "Questions are read under all names of their subject. With `removed` the names are parted again.", "AliasContent",
		`{"alias": "Ozempic", "canonical": "Semaglutide"}`, assertion.CodeAliasInvalid)
}

func endorseDoc() operation {
	return entryDoc("endorse", tagTrust, "Endorse another agent", "Signed. An edge of the trust graph; weight 0 takes it back.", "EndorsementContent",
		`{"agent_id": "`+zeros+`", "endorsed": "`+zeros+`", "weight": 1, "timestamp": 1735689600, "signature": "`+zeros+zeros+`"}`,
		slices.Concat(signedCodes, []string{assertion.CodeEndorsementInvalid, assertion.CodeNumberNotFinite})...)
}

func seedsDoc() operation {
	return entryDoc("seeds", tagTrust, "Choose the agents that trust flows from", "Replaces the earlier choice.", "SeedsContent", `{"agents": []}`)
}

func labelDoc() operation {
	return entryDoc("gold", tagTrust, "State the right answer to a question", "A gold label moves the trust in the agents that had claimed something on the question before. With `removed` it is taken back.", "LabelContent",
		`{"subject": "Semaglutide", "predicate": "nausea_rate", "object": {"type": "Number", "value": 44.2}}`,
		assertion.CodeSubjectInvalid, assertion.CodePredicateInvalid, assertion.CodeObjectInvalid, assertion.CodeNumberNotFinite)
}

// readDoc documents a read.
func readDoc(id, tag, summary, description, schema string, params []paramDoc, codes ...string) operation {
	return operation{id: id, tag: tag, summary: summary, description: description, params: params,
		answers: []answerDoc{{http.StatusOK, "The answer.", v1.MediaJSON, schema}}, codes: slices.Concat(readCodes(), codes)}
}

func traceDoc() operation {
	return readDoc("trace", tagHistory, "Where a claim comes from", "The chain of parents, derivations and supersessions, with votes, stages and sources.", "TraceResponse",
		slices.Concat([]paramDoc{hashParamDoc("The claim's content hash."),
			{in: inQuery, name: "depth", schema: `{"type":"integer","minimum":0,"maximum":64,"default":8}`, example: "8", description: "How far to follow the chain."}},
			pastParams(), consistencyParams()), assertion.CodeHashInvalid, v1.CodeAssertionNotFound)
}

func epochReadDoc() operation {
	return readDoc("readEpoch", tagKnowledge, "One epoch", "", "Epoch",
		slices.Concat([]paramDoc{hashParamDoc("The epoch's hash.")}, pastParams(), consistencyParams()), assertion.CodeHashInvalid, v1.CodeNotFound)
}

func constraintsDoc() operation {
	return readDoc("constraints", tagAnswers, "What a subject must use, must not use and requires",
		"Resolves the predicates `must_use`, `forbidden` and `requires` together: every thing they name with a verdict, reasons, and the conflict between them.", "ConstraintsResponse",
		slices.Concat([]paramDoc{{in: inQuery, name: "subject", schema: nameSchema, required: true, example: "checkout-service", description: "Exact."}},
			filterParams(), askParams()[:1], pastParams(), consistencyParams()))
}

func conflictsDoc() operation {
	return readDoc("conflicts", tagAnswers, "The most contested questions",
		"In the order of the conflict at the last change of each; the figures are those of now.", "ConflictsResponse",
		slices.Concat(listParams(), []paramDoc{cursorParam()}, consistencyParams()), v1.CodeBadCursor)
}

func subjectsDoc() operation {
	return readDoc("subjects", tagAnswers, "The subjects and their predicates", "", "SubjectsResponse",
		slices.Concat([]paramDoc{{in: inQuery, name: "prefix", schema: `{"type":"string"}`, example: "Sema", description: "What the subjects begin with."}},
			listParams(), []paramDoc{cursorParam()}, consistencyParams()), v1.CodeBadCursor)
}

func sourcesDoc() operation {
	return readDoc("sources", tagKnowledge, "The registered sources", "", "SourcesResponse",
		slices.Concat(listParams(), []paramDoc{cursorParam()}, pastParams()[1:], consistencyParams()))
}

func sourceDoc() operation {
	return readDoc("source", tagKnowledge, "One source with its content", "", "SourceResponse",
		slices.Concat([]paramDoc{hashParamDoc("The source's hash.")}, pastParams()[1:], consistencyParams()), assertion.CodeHashInvalid, v1.CodeNotFound)
}

func impactDoc() operation {
	return readDoc("impact", tagKnowledge, "What rests on a source", "The claims on the source, what is derived from them, and which answers would be others without it.", "ImpactResponse",
		slices.Concat([]paramDoc{hashParamDoc("The source's hash."), lensParamDoc()}, listParams(), consistencyParams()),
		assertion.CodeHashInvalid, v1.CodeNotFound, v1.CodeUnknownLens)
}

func lensParamDoc() paramDoc {
	return paramDoc{in: inQuery, name: "lens", schema: `{"type":"string","default":"consensus"}`, example: "consensus", description: "The lens that resolves."}
}

func aliasesDoc() operation {
	return readDoc("aliases", tagKnowledge, "The aliases that hold", "", "AliasesResponse",
		slices.Concat(listParams(), []paramDoc{cursorParam()}, pastParams()[1:], consistencyParams()), v1.CodeBadCursor)
}

func conceptDoc() operation {
	return readDoc("concept", tagKnowledge, "One entity: its names, predicates and place",
		"The path may be a concept path (`scheme://a/b`) or any name.", "ConceptResponse",
		slices.Concat([]paramDoc{{in: inPath, name: "path", schema: nameSchema, required: true, example: "Semaglutide", description: "The name."}},
			pastParams()[1:], consistencyParams()), v1.CodeNotFound)
}

func trustDoc() operation {
	return readDoc("trust", tagTrust, "How far an agent is trusted, and why", "", "TrustResponse",
		slices.Concat([]paramDoc{{in: inPath, name: "agent", schema: hashSchema, required: true, example: strings.Repeat("0", 64), description: "The agent's public key."},
			{in: inQuery, name: "predicate", schema: nameSchema, example: "nausea_rate", description: "The predicate that the trust is for."}},
			pastParams(), consistencyParams()))
}

func goldDoc() operation {
	return readDoc("goldLabels", tagTrust, "The gold labels and seeds", "", "GoldResponse", slices.Concat(pastParams()[1:], consistencyParams()))
}

func nodeKeysDoc() operation {
	return readDoc("nodeKeys", tagCluster, "The keys that nodes sign with", "", "NodeKeysResponse", consistencyParams())
}

func feedDoc() operation {
	return readDoc("feed", tagHistory, "Every change, in the order of the log",
		"The feed is the same on every node: what continues from `next`, here or elsewhere, misses and repeats nothing. A claim that the content defence hides is not in it; its approval is, as a decision.", "FeedResponse",
		slices.Concat([]paramDoc{{in: inQuery, name: "after", schema: positionSchema, example: "0", description: "`next` of the page before, or a log index."}},
			listParams(), consistencyParams()))
}

const (
	zeros          = "0000000000000000000000000000000000000000000000000000000000000000"
	positionSchema = `{"type":"string","pattern":"^[0-9]+([.][0-9]+)?$"}`
)

func diffDoc() operation {
	return readDoc("diff", tagHistory, "What changed on a subject between two times",
		"Claims that came or were hidden, superseded or retracted, and resolutions with another winner, under a lens.", "DiffResponse",
		slices.Concat([]paramDoc{
			questionParams()[0],
			{in: inQuery, name: "predicate", schema: nameSchema, example: "nausea_rate", description: "One predicate; by default every one of the subject."},
			{in: inQuery, name: "from", schema: `{"type":"string"}`, required: true, example: "2026-01-01T00:00:00Z", description: "Unix seconds or RFC 3339."},
			{in: inQuery, name: "to", schema: `{"type":"string"}`, required: true, example: "2026-02-01T00:00:00Z", description: "Unix seconds or RFC 3339."},
			{in: inQuery, name: "axis", schema: `{"type":"string","enum":["known_at","as_of"],"default":"known_at"}`, example: "known_at",
				description: "known_at compares what was known, as_of what was claimed by then, as known now."},
			lensParamDoc(),
		}, filterParams(), askParams()[:3], listParams(), consistencyParams()), v1.CodeUnknownLens)
}

func watchDoc() operation {
	return operation{
		id: "watch", tag: tagHistory, summary: "Follow changes as server-sent events",
		description: "Each event has its position in the log as id: reconnect with Last-Event-ID or `after`, to whatever node, and nothing is missed or repeated. Filters select claims; without any, every change is told. With `lens` only changes of the answer to the question are told, after each connect the present one first, with `first`. A comment is sent after 15 s of silence.",
		params: slices.Concat([]paramDoc{
			{in: inQuery, name: "after", schema: positionSchema, example: "0", description: "The position to continue after; by default now."},
			{in: inQuery, name: "subject", schema: nameSchema, description: "Claims on this subject, or prefix with `*`; with `lens` the question's."},
			{in: inQuery, name: "predicate", schema: nameSchema, description: "Claims on this predicate."},
			{in: inQuery, name: "lens", schema: `{"type":"string"}`, description: "Tell of changed answers only, under this lens."},
		}, watchFilterParams(), askParams()[:3]),
		answers: []answerDoc{{http.StatusOK, "Events `change` (Event), `resolution` (ResolutionChange) and, last, `problem` (Problem).", v1.MediaEvents, ""}},
		codes:   []string{v1.CodeUnknownLens, v1.CodeInvalidParameter, v1.CodeMissingParameter, v1.CodeOverloaded, v1.CodeRecovering, v1.CodeStopping, v1.CodeNodeFailed},
	}
}

func exportDoc() operation {
	return operation{
		id: "export", tag: tagHistory, summary: "Everything signed, as a file that verifies offline",
		description: "Streams the claims with all signatures, and what else answers rest on, at one log index, as NDJSON: a header, records, a trailer with counts and hashes. An answer that ends without a trailer is not whole. Claims that the content defence hides are left out. docs/export.md has the format.",
		params: slices.Concat([]paramDoc{
			{in: inQuery, name: "subject", schema: nameSchema, example: "Semaglutide", description: "Only claims on this subject, or prefix with `*`, and what bears on them."},
			{in: inQuery, name: "predicate", schema: nameSchema, example: "nausea_rate", description: "Only claims on this predicate, and what bears on them."},
			{in: inQuery, name: "since", schema: `{"type":"integer","minimum":0}`, example: "0", description: "Only what was committed after this log index, such as that of an earlier export."},
		}, consistencyParams()),
		answers: []answerDoc{{http.StatusOK, "The lines of an export.", v1.MediaNDJSON, ""}},
		codes:   slices.Concat(readCodes(), []string{v1.CodeOverloaded}),
	}
}

// watchFilterParams are the filters where they mean something else of a claim as
// it comes in.
func watchFilterParams() []paramDoc {
	params := filterParams()
	for i := range params {
		switch params[i].name {
		case "lifecycle":
			params[i].description = "Stages, separated by commas: without `lens` those that claims state, by default all; with it, as in a query."
		case "include":
			params[i].description = "With `lens` as in a query. Without it claims are told as they come in, when none is superseded yet."
		}
	}
	return params
}

func auditQueriesDoc() operation {
	return operation{id: "auditQueries", tag: tagHistory, summary: "Who asked this node what",
		description: "Reads that named an agent in X-Agent-Id, newest first, and watches when they began. Each node keeps its own, a bounded number of them.",
		params:      slices.Concat([]paramDoc{{in: inQuery, name: "agent_id", schema: hashSchema, description: "Reads of this agent."}}, listParams(), []paramDoc{cursorParam()}),
		answers:     []answerDoc{{http.StatusOK, "The reads.", v1.MediaJSON, "AuditResponse"}},
		codes:       []string{v1.CodeInvalidParameter, v1.CodeBadCursor, v1.CodeNotFound}}
}

func auditQueryDoc() operation {
	return operation{id: "auditQuery", tag: tagHistory, summary: "One audited read",
		params:  []paramDoc{{in: inPath, name: "id", schema: nameSchema, required: true, example: "n1-1735689600000000", description: "Its id."}},
		answers: []answerDoc{{http.StatusOK, "The read.", v1.MediaJSON, "AuditRecord"}},
		codes:   []string{v1.CodeInvalidParameter, v1.CodeNotFound}}
}

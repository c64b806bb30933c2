package api

import (
	"net/http"
	"slices"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// The documentation of the routes about API keys.

func keyIDParam() []paramDoc {
	return []paramDoc{{in: inPath, name: "id", schema: `{"type":"string"}`, required: true, example: "root", description: "The id of the key."}}
}

// keyChangeDoc documents a route that changes a key.
func keyChangeDoc(id, summary, description string, params []paramDoc, body *bodyDoc, status int, schema string) operation {
	codes := slices.Concat(writeCodes(), []string{assertion.CodeAPIKeyInvalid, v1.CodeMinIndexNotReached, v1.CodeTooStale, v1.CodeTimeout})
	if body != nil {
		codes = slices.Concat(codes, bodyCodes(), []string{assertion.CodeInvalidJSON, assertion.CodeHashInvalid})
	}
	if len(params) > 0 {
		codes = append(codes, v1.CodeNotFound, v1.CodeKeyConflict)
	}
	return operation{id: id, tag: tagKeys, summary: summary, description: description, params: params, body: body,
		answers: []answerDoc{{status, "The key.", v1.MediaJSON, schema}}, codes: codes}
}

func keyBodyDoc(schema, example string) *bodyDoc {
	return &bodyDoc{description: "What the key may do.", media: []string{v1.MediaJSON}, schemas: []string{schema}, example: example}
}

func listKeysDoc() operation {
	return operation{id: "listKeys", tag: tagKeys, summary: "The API keys", description: "Without their secrets, which nobody can see again. `last_used_at` is the last use on whatever node, as far as the nodes have told each other since they started.",
		answers: []answerDoc{{http.StatusOK, "The keys by id, revoked ones too.", v1.MediaJSON, "KeysResponse"}}, codes: readCodes()}
}

func createKeyDoc() operation {
	return keyChangeDoc("createKey", "Create an API key", "The answer holds the secret, this once: only its hash is stored.", nil,
		keyBodyDoc("KeyRequest", `{"name":"ingest","role":"write","rate_per_second":500}`), http.StatusCreated, "KeySecret")
}

func updateKeyDoc() operation {
	return keyChangeDoc("updateKey", "Change an API key", "Fields that are absent stay. Binding and scope of a key are for good.", keyIDParam(),
		keyBodyDoc("KeyUpdate", `{"role":"read-only"}`), http.StatusOK, "KeyResponse")
}

func revokeKeyDoc() operation {
	return keyChangeDoc("revokeKey", "Revoke an API key", "For good. Every node that has applied it refuses the key within a quarter of a second.", keyIDParam(), nil, http.StatusOK, "KeyResponse")
}

func rotateKeyDoc() operation {
	return keyChangeDoc("rotateKey", "Give an API key a new secret", "The old secret is accepted for `overlap_seconds` more.", keyIDParam(),
		keyBodyDoc("KeyRotation", `{"overlap_seconds":3600}`), http.StatusOK, "KeySecret")
}

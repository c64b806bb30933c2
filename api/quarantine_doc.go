package api

import (
	"net/http"
	"slices"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// The documentation of the routes about quarantined claims.

func quarantineDoc() operation {
	return operation{
		id: "quarantine", tag: tagDefense, summary: "The claims that the content defence keeps out of answers",
		description: "With what it found in each, and what reviewers decided.",
		params: slices.Concat([]paramDoc{
			{in: inQuery, name: "state", schema: `{"type":"string","enum":["pending","approved","rejected"],"default":"pending"}`, example: "pending",
				description: "The state of the review."},
			cursorParam(),
		}, listParams(), consistencyParams()),
		answers: []answerDoc{{http.StatusOK, "The claims, in the order in which they were stored.", v1.MediaJSON, "QuarantineResponse"}},
		codes:   append(readCodes(), v1.CodeBadCursor),
	}
}

func decisionDoc(id, summary, description string) operation {
	return operation{
		id: id, tag: tagDefense, summary: summary, description: description, params: []paramDoc{hashParamDoc("The claim.")},
		body:    &bodyDoc{description: "Why.", media: []string{v1.MediaJSON}, schemas: []string{"DecisionRequest"}, example: `{"reason":"read by two of us: an advertisement"}`},
		answers: []answerDoc{{http.StatusOK, "The state of the review.", v1.MediaJSON, "DecisionResponse"}},
		codes: slices.Concat(writeCodes(), bodyCodes(), []string{assertion.CodeInvalidJSON, assertion.CodeHashInvalid, assertion.CodeDecisionInvalid,
			v1.CodeTargetNotFound}),
	}
}

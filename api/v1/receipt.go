package v1

import "github.com/stemedb/stemedb/assertion"

// Receipt is a node's signed word for an answer, with what it takes to resolve
// the question again without any node (docs/receipts.md).
type Receipt struct {
	Statement ReceiptStatement `json:"statement"`
	// Evidence is what the statement's EvidenceHash names.
	Evidence ReceiptEvidence `json:"evidence"`
	// NodeKey signed the statement.
	NodeKey   assertion.AgentID        `json:"node_key"`
	Signature assertion.SignatureBytes `json:"signature"`
}

// ReceiptStatement is what the node signs.
type ReceiptStatement struct {
	// Version is 1.
	Version   int    `json:"version"`
	ClusterID string `json:"cluster_id"`
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
	Lens      string `json:"lens"`
	// Parameters are what was asked for beside the question; Tolerance and
	// Hierarchy say which values count as one.
	Parameters map[string]any `json:"parameters,omitempty"`
	Tolerance  string         `json:"tolerance,omitempty"`
	Hierarchy  bool           `json:"hierarchy,omitempty"`
	// Names are those that the question was read under, if several.
	Names []string `json:"names,omitempty"`
	// At is the time that confidences decayed to, unix seconds.
	At uint64 `json:"at"`
	// Index is the log index of the state that answered, CommittedAt the time of
	// its last commit, Digest that of the whole state at this index.
	Index       uint64         `json:"index"`
	CommittedAt uint64         `json:"committed_at"`
	Digest      assertion.Hash `json:"digest"`
	Answer      ReceiptAnswer  `json:"answer"`
	// TrustHash and TruthHash name the computations that weighed the voices.
	TrustHash *assertion.Hash `json:"trust_hash,omitempty"`
	TruthHash *assertion.Hash `json:"truth_hash,omitempty"`
	// Claims are all claims that the filters select, newest first.
	Claims       []assertion.Hash `json:"claims"`
	EvidenceHash assertion.Hash   `json:"evidence_hash"`
}

// ReceiptAnswer is the answer in short.
type ReceiptAnswer struct {
	// Object is the winner; absent if there are no claims.
	Object        *assertion.ObjectValue `json:"object,omitempty"`
	Confidence    float64                `json:"confidence"`
	ConflictScore float64                `json:"conflict_score"`
	Disagreement  float64                `json:"disagreement"`
	Status        string                 `json:"status"`
	Values        int                    `json:"values"`
	Voices        uint64                 `json:"voices"`
}

// ReceiptEvidence is what the answer follows from.
type ReceiptEvidence struct {
	// Claims are parallel to the statement's.
	Claims []Assertion `json:"claims"`
	// Votes are the newest of each agent on each claim, for a lens that counts
	// them.
	Votes []assertion.Vote `json:"votes,omitempty"`
	// SupersededEpochs maps epochs of the claims to those that replace or retract
	// them.
	SupersededEpochs map[string]assertion.Hash `json:"superseded_epochs,omitempty"`
	// Trust and Truth are the parts of the computations that these voices need,
	// encoded as in the log, in base64.
	Trust []byte `json:"trust,omitempty"`
	Truth []byte `json:"truth,omitempty"`
	// Paths are the concept paths that values stand for by alias.
	Paths map[string]string `json:"paths,omitempty"`
}

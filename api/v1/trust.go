package v1

import "github.com/stemedb/stemedb/assertion"

// TrustResponse answers GET /v1/trust/{agent}: how far an agent is trusted, and
// why.
type TrustResponse struct {
	AgentID assertion.AgentID `json:"agent_id"`
	// Trust is what the trust lens uses on Predicate, 0 to 1; without a predicate
	// on one that has no labels. Basis says what it rests on.
	Trust     float64 `json:"trust"`
	Basis     string  `json:"basis"`
	Predicate string  `json:"predicate,omitempty"`
	// TrustRank is the rank over all predicates, decayed to the answer's time.
	TrustRank float64 `json:"trust_rank"`
	// Right and Wrong count the gold labels on claims of the agent.
	Right uint32 `json:"right"`
	Wrong uint32 `json:"wrong"`
	// Endorsed is the agent's EigenTrust over the largest in the graph, 0 to 1;
	// absent if the agent is not in the graph.
	Endorsed *float64 `json:"endorsed,omitempty"`
	// Predicates are the records on single predicates.
	Predicates []TrustRecord `json:"predicates"`
	// Endorses are the agent's own endorsements.
	Endorses []Endorsement `json:"endorses"`
	// TrustHash names the computation; all zeros if there was none yet.
	// ComputedIndex is the log index of the state that it was computed from.
	TrustHash     assertion.Hash `json:"trust_hash"`
	ComputedIndex uint64         `json:"computed_index"`
	Index         uint64         `json:"index"`
}

// TrustRecord is what gold labels say of an agent on one predicate.
type TrustRecord struct {
	Predicate string  `json:"predicate"`
	Trust     float64 `json:"trust"`
	TrustRank float64 `json:"trust_rank"`
	Right     uint32  `json:"right"`
	Wrong     uint32  `json:"wrong"`
}

// GoldResponse answers GET /v1/admin/gold.
type GoldResponse struct {
	Labels []GoldLabel         `json:"labels"`
	Seeds  []assertion.AgentID `json:"seeds"`
	// TrustHash names the newest trust, ComputedIndex the log index of the state
	// that it was computed from: labels committed after it do not count yet.
	TrustHash     assertion.Hash `json:"trust_hash"`
	ComputedIndex uint64         `json:"computed_index"`
	Index         uint64         `json:"index"`
}

// GoldLabel is a gold label with its commit.
type GoldLabel struct {
	assertion.Label
	Commit
}

// NodeKeysResponse answers GET /v1/cluster/keys: the keys that the nodes sign
// with.
type NodeKeysResponse struct {
	ClusterID string    `json:"cluster_id"`
	Keys      []NodeKey `json:"keys"`
	Index     uint64    `json:"index"`
}

// NodeKey is a key of a node with its commit.
type NodeKey struct {
	assertion.NodeKey
	Commit
}

package v1

import "github.com/stemedb/stemedb/assertion"

// QueryResponse answers GET /v1/query.
type QueryResponse struct {
	// Assertions are the claims selected, newest first (by subject, then newest
	// first, for a subject prefix).
	Assertions []Assertion `json:"assertions"`
	// Resolution is the lens's answer, if a lens was asked for.
	Resolution *Resolution `json:"resolution,omitempty"`
	// Receipt is the node's signed statement of the answer; with receipt=true.
	Receipt *Receipt `json:"receipt,omitempty"`
	// NextCursor continues the list; absent at its end.
	NextCursor string `json:"next_cursor,omitempty"`
	// Index is the log index of the state that answered.
	Index uint64 `json:"index"`
}

// Resolution is what a lens makes of the claims on one question.
type Resolution struct {
	Lens string `json:"lens"`
	// Winner is the lens's answer; absent if there are no claims.
	Winner *Candidate `json:"winner,omitempty"`
	// RunnersUp are the other values in the lens's order, at most limit of them.
	RunnersUp []Candidate `json:"runners_up"`
	// Confidence is the lens's own in its winner, 0 to 1 (docs/lenses.md).
	Confidence float64 `json:"confidence"`
	// ConflictScore, Disagreement and Status are those of the skeptic.
	ConflictScore float64     `json:"conflict_score"`
	Disagreement  float64     `json:"disagreement"`
	Status        string      `json:"status"`
	Explanation   Explanation `json:"explanation"`
}

// Candidate is one value that claims give to a question.
type Candidate struct {
	Object assertion.ObjectValue `json:"object"`
	// Score is what the lens ranks by.
	Score float64 `json:"score"`
	// Share is the value's part of all support, 0 to 1.
	Share   float64 `json:"share"`
	Support float64 `json:"support"`
	Voices  uint64  `json:"voices"`
	// Newest is the newest timestamp of a claim for the value, unix seconds.
	Newest uint64        `json:"newest"`
	Tiers  []TierSupport `json:"tiers"`
	// Claim is the claim that decided, where one did.
	Claim *assertion.Hash `json:"claim,omitempty"`
	// Findings are what the content defence found in claims for the value.
	Findings []assertion.Finding `json:"findings,omitempty"`
}

// TierSupport is what the voices of one source class add to a value.
type TierSupport struct {
	SourceClass assertion.SourceClass `json:"source_class"`
	Tier        int                   `json:"tier"`
	Weight      float64               `json:"weight"`
	Voices      uint64                `json:"voices"`
	// Confidence is the sum of the voices' effective confidences.
	Confidence float64 `json:"confidence"`
	// Support is Confidence × Weight.
	Support float64 `json:"support"`
}

// Explanation says how an answer came about.
type Explanation struct {
	Lens       string         `json:"lens"`
	Parameters map[string]any `json:"parameters,omitempty"`
	// Rule is how the lens decides; Decision is how it decided here.
	Rule     string `json:"rule"`
	Decision string `json:"decision"`
	// TieBreak is the link of the tie rule that decided between equals:
	// support, newest, canonical_bytes or log_index; absent if there was no tie.
	TieBreak string `json:"tie_break,omitempty"`
	// Values and Voices count all of them, beyond any limit.
	Values int    `json:"values"`
	Voices uint64 `json:"voices"`
	// At is the time that confidences decayed to, unix seconds.
	At uint64 `json:"at"`
	// Index is the log index of the state that answered.
	Index uint64 `json:"index"`
	// Source is aggregates or scan.
	Source string `json:"source"`
	// Scanned counts the claims that a scan read.
	Scanned int `json:"scanned,omitempty"`
	// Truncated says that the scan hit its bound, so that the answer rests on
	// the newest claims only.
	Truncated bool `json:"truncated,omitempty"`
	// Aliases are the names that the question was read under, if several.
	Aliases []string `json:"aliases,omitempty"`
	// Joined are the values that counted as one, by tolerance or hierarchy.
	Joined []JoinedValues `json:"joined,omitempty"`
	// TrustHash names the trust that weighed the voices; all zeros if none was
	// computed yet.
	TrustHash *assertion.Hash `json:"trust_hash,omitempty"`
	// TruthHash names the model that weighed the voices, all zeros if none was
	// learnt yet; Method is the method of the truth lens for the predicate,
	// MethodChoice why it is this one.
	TruthHash    *assertion.Hash `json:"truth_hash,omitempty"`
	Method       string          `json:"method,omitempty"`
	MethodChoice string          `json:"method_choice,omitempty"`
	// Weights are the voices behind the answer, heaviest first; with explain=true
	// only. Unlisted counts those beyond the bound of 1000.
	Weights  []VoiceWeight `json:"weights,omitempty"`
	Unlisted int           `json:"unlisted,omitempty"`
}

// JoinedValues are values that counted as one.
type JoinedValues struct {
	// Object is the value that the others count for.
	Object assertion.ObjectValue   `json:"object"`
	Values []assertion.ObjectValue `json:"values"`
}

// VoiceWeight is one voice behind an answer with what its claim weighs.
type VoiceWeight struct {
	Claim      assertion.Hash        `json:"claim"`
	AgentID    assertion.AgentID     `json:"agent_id"`
	SourceHash assertion.Hash        `json:"source_hash"`
	Object     assertion.ObjectValue `json:"object"`
	// Counted is the value that it counts for, if that is another one.
	Counted     *assertion.ObjectValue `json:"counted,omitempty"`
	SourceClass assertion.SourceClass  `json:"source_class"`
	Timestamp   uint64                 `json:"timestamp"`
	// Confidence is as stated, Decay the part that is left of it, Effective their
	// product, Weight that of the class, Support the product of all.
	Confidence float64 `json:"confidence"`
	Decay      float64 `json:"decay"`
	Effective  float64 `json:"effective"`
	Weight     float64 `json:"weight"`
	Support    float64 `json:"support"`
	// VoteWeight, Trust and TrustBasis are there where the lens looks at them.
	VoteWeight *float64 `json:"vote_weight,omitempty"`
	Trust      *float64 `json:"trust,omitempty"`
	TrustBasis string   `json:"trust_basis,omitempty"`
	// Reliability, ReliabilityBasis and Independence are there with the truth
	// lens: the method's figure for the agent on the predicate, what it rests on,
	// and the part of the voice that is not taken for a copy, 0 to 1.
	Reliability      *float64 `json:"reliability,omitempty"`
	ReliabilityBasis string   `json:"reliability_basis,omitempty"`
	Independence     *float64 `json:"independence,omitempty"`
}

// SkepticResponse answers GET /v1/skeptic.
type SkepticResponse struct {
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
	// Status is NoClaims, Unanimous, Agreed or Contested.
	Status string `json:"status"`
	// ConflictScore is the normalised entropy of the shares, 0 to 1.
	ConflictScore float64 `json:"conflict_score"`
	// Disagreement is 1 − the largest share.
	Disagreement float64 `json:"disagreement"`
	// Claims are the values by falling share, at most limit of them.
	Claims []SkepticClaim `json:"claims"`
	// Values and Voices count all of them, beyond the limit.
	Values      int         `json:"values"`
	Voices      uint64      `json:"voices"`
	Index       uint64      `json:"index"`
	Explanation Explanation `json:"explanation"`
	// Receipt is as in a QueryResponse.
	Receipt *Receipt `json:"receipt,omitempty"`
}

// SkepticClaim is one value and how much stands behind it.
type SkepticClaim struct {
	Object  assertion.ObjectValue `json:"object"`
	Share   float64               `json:"share"`
	Support float64               `json:"support"`
	Voices  uint64                `json:"voices"`
	Newest  uint64                `json:"newest"`
	Tiers   []TierSupport         `json:"tiers"`
	// Findings are what the content defence found in claims for the value.
	Findings []assertion.Finding `json:"findings,omitempty"`
}

// LayeredResponse answers GET /v1/layered.
type LayeredResponse struct {
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
	// Winner is that of the strongest tier with claims; absent without claims.
	Winner *Candidate `json:"winner,omitempty"`
	// CrossTierConflict is 0 if all tiers agree, up to 1.
	CrossTierConflict float64 `json:"cross_tier_conflict"`
	// Tiers are those with claims, strongest first.
	Tiers       []TierResult `json:"tiers"`
	Values      int          `json:"values"`
	Voices      uint64       `json:"voices"`
	Index       uint64       `json:"index"`
	Explanation Explanation  `json:"explanation"`
	// Receipt is as in a QueryResponse.
	Receipt *Receipt `json:"receipt,omitempty"`
}

// TierResult is the answer of one source class.
type TierResult struct {
	SourceClass assertion.SourceClass `json:"source_class"`
	Tier        int                   `json:"tier"`
	Weight      float64               `json:"weight"`
	Winner      TierValue             `json:"winner"`
	// ConflictScore is that of the skeptic within the tier.
	ConflictScore float64 `json:"conflict_score"`
	Values        int     `json:"values"`
	Voices        uint64  `json:"voices"`
}

// TierValue is a value as one tier sees it: its share, support and voices
// within the tier.
type TierValue struct {
	Object  assertion.ObjectValue `json:"object"`
	Share   float64               `json:"share"`
	Support float64               `json:"support"`
	Voices  uint64                `json:"voices"`
	Newest  uint64                `json:"newest"`
	// Findings are what the content defence found in claims for the value.
	Findings []assertion.Finding `json:"findings,omitempty"`
}

// ConstraintsResponse answers GET /v1/constraints.
type ConstraintsResponse struct {
	Subject string `json:"subject"`
	// Constraints are ordered by verdict, then by falling support.
	Constraints []Constraint `json:"constraints"`
	// Conflicts says which things are both asked for and forbidden.
	Conflicts []string `json:"conflicts"`
	Index     uint64   `json:"index"`
}

// Constraint is one thing that a subject must use, must not use or requires.
type Constraint struct {
	Object assertion.ObjectValue `json:"object"`
	// Verdict is must_use, forbidden or requires.
	Verdict string `json:"verdict"`
	// ConflictScore is that of the support for and against, 0 if all agree.
	ConflictScore float64  `json:"conflict_score"`
	Reasons       []string `json:"reasons"`
	// Sides are what stands behind each predicate, by its name.
	Sides map[string]Side `json:"sides"`
}

// Side is what stands behind one predicate on one thing.
type Side struct {
	Support float64       `json:"support"`
	Voices  uint64        `json:"voices"`
	Tiers   []TierSupport `json:"tiers"`
}

// LensesResponse answers GET /v1/lenses.
type LensesResponse struct {
	Lenses []Lens `json:"lenses"`
	// Parameters are what every lens may be asked with.
	Parameters []Parameter `json:"parameters"`
}

// Lens is one way of resolving a question.
type Lens struct {
	Name    string `json:"name"`
	Rule    string `json:"rule"`
	Formula string `json:"formula"`
	// Filter says that it leaves claims out and that another lens may stand
	// behind it, separated by a comma.
	Filter bool `json:"filter"`
	// Aggregates says that without filters its cost does not depend on the number
	// of claims.
	Aggregates bool `json:"aggregates"`
}

// Parameter is one parameter of a request.
type Parameter struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

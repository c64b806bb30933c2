package v1

import (
	"github.com/stemedb/stemedb/assertion"
)

// Commit is when the cluster took something in.
type Commit struct {
	// LogIndex is the log index of the commit.
	LogIndex uint64 `json:"log_index"`
	// CommittedAt is the leader's time of the commit, unix seconds.
	CommittedAt uint64 `json:"committed_at"`
}

// FromCommit makes the answer's form of a commit.
func FromCommit(c assertion.Commit) Commit { return Commit{LogIndex: c.Index, CommittedAt: c.At} }

// Vote is a vote in an answer, as it was signed.
type Vote struct {
	Hash assertion.Hash `json:"hash"`
	assertion.Vote
	Commit
}

// Epoch is an epoch in an answer, as it was signed.
type Epoch struct {
	Hash assertion.Hash `json:"hash"`
	assertion.Epoch
	// SupersededBy is the epoch that replaces or retracts this one.
	SupersededBy *assertion.Hash `json:"superseded_by,omitempty"`
	// Authority is the id of the admin API key by which it supersedes an epoch that
	// its agent does not own.
	Authority string `json:"authority,omitempty"`
	Commit
}

// Supersession is a supersession in an answer, as it was signed.
type Supersession struct {
	Hash assertion.Hash `json:"hash"`
	assertion.Supersession
	// Authority is the id of the admin API key by which it was made, if the agent
	// does not own the claim.
	Authority string `json:"authority,omitempty"`
	Commit
}

// Endorsement is an endorsement in an answer, as it was signed.
type Endorsement struct {
	Hash assertion.Hash `json:"hash"`
	assertion.Endorsement
	Commit
}

// Transition is a change of a claim's lifecycle stage.
type Transition struct {
	// Hash is the claim that made the change.
	Hash      assertion.Hash      `json:"hash"`
	Lifecycle assertion.Lifecycle `json:"lifecycle"`
	Signers   []assertion.AgentID `json:"signers"`
	// Authority is the id of the admin API key by which it was made, if none of
	// the signers owns the claim.
	Authority string `json:"authority,omitempty"`
	Commit
}

// AssertionDetail answers GET /v1/assertions/{hash}: the claim with everything
// that bears on it.
type AssertionDetail struct {
	Assertion
	// Votes are the newest of each agent; VoteWeight is the sum of their weights.
	Votes      []Vote  `json:"votes"`
	VoteWeight float64 `json:"vote_weight"`
	// Transitions are the changes of the lifecycle stage, in log order.
	Transitions   []Transition   `json:"transitions"`
	Supersessions []Supersession `json:"supersessions"`
	// Decisions are those of reviewers, if the content defence quarantined the
	// claim, in log order.
	Decisions []Decision `json:"decisions,omitempty"`
	// Source is what is registered under the claim's source_hash.
	Source *Source `json:"source,omitempty"`
	// Index is the log index of the state that answered.
	Index uint64 `json:"index"`
}

// Source is a source in an answer.
type Source struct {
	Hash  assertion.Hash `json:"hash"`
	URI   string         `json:"uri"`
	Title string         `json:"title"`
	// SourceClass is that of the registration.
	SourceClass *assertion.SourceClass `json:"source_class,omitempty"`
	// Status is active or retracted.
	Status string `json:"status"`
	// Registered says that the source was described; a source may be retracted
	// without.
	Registered bool `json:"registered"`
	// Content is the source's text, in the answer about this one source only.
	Content string `json:"content,omitempty"`
	// ContentBytes is the length of the text, 0 if none is kept.
	ContentBytes int `json:"content_bytes"`
	// Changes are those of the status, in log order.
	Changes []SourceChange `json:"changes"`
	// Registration is the commit of the description that counts.
	Registration *Commit `json:"registration,omitempty"`
}

// SourceChange is one change of a source's status.
type SourceChange struct {
	// Status is active or retracted.
	Status string `json:"status"`
	Reason string `json:"reason"`
	// Authority is the id of the admin API key by which it was made.
	Authority string `json:"authority,omitempty"`
	Commit
}

// The values of a source's status.
const (
	SourceActive    = "active"
	SourceRetracted = "retracted"
)

// SourceResponse answers GET /v1/sources/{hash}.
type SourceResponse struct {
	Source
	Index uint64 `json:"index"`
}

// SourcesResponse answers GET /v1/sources.
type SourcesResponse struct {
	Sources    []Source `json:"sources"`
	NextCursor string   `json:"next_cursor,omitempty"`
	Index      uint64   `json:"index"`
}

// ImpactResponse answers GET /v1/sources/{hash}/impact: what rests on a source.
type ImpactResponse struct {
	Source Source `json:"source"`
	// Claims counts the claims on the source, Agents their distinct signers,
	// Derived the claims elsewhere that name one of them in derived_from.
	Claims  int `json:"claims"`
	Agents  int `json:"agents"`
	Derived int `json:"derived"`
	// Questions are those with a claim on the source that counts or would count,
	// at most limit.
	Questions []QuestionImpact `json:"questions"`
	// Changed counts the questions listed whose winner depends on the source.
	Changed int `json:"changed"`
	// Truncated says that the source has more claims than were read, so that the
	// counts are lower bounds.
	Truncated bool   `json:"truncated,omitempty"`
	Index     uint64 `json:"index"`
}

// QuestionImpact is a question with and without a source, under a lens.
type QuestionImpact struct {
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
	// With and Without are the winners; absent where nothing is left.
	With    *assertion.ObjectValue `json:"with,omitempty"`
	Without *assertion.ObjectValue `json:"without,omitempty"`
	Changes bool                   `json:"changes"`
}

// Alias is an alias in an answer.
type Alias struct {
	assertion.Alias
	Commit
}

// AliasesResponse answers GET /v1/concepts/aliases.
type AliasesResponse struct {
	Aliases    []Alias `json:"aliases"`
	NextCursor string  `json:"next_cursor,omitempty"`
	Index      uint64  `json:"index"`
}

// ConceptResponse answers GET /v1/concepts/{path}: one entity.
type ConceptResponse struct {
	// Name is the name asked for; Names are all names of the entity, it first.
	Name  string   `json:"name"`
	Names []string `json:"names"`
	// Canonical is the name that the entity's aliases lead to.
	Canonical string `json:"canonical"`
	// Path says that the name is a concept path; SourceClass is then the default
	// of its scheme, Parent the path above, Children the subjects right below.
	Path        bool                   `json:"path"`
	SourceClass *assertion.SourceClass `json:"source_class,omitempty"`
	Parent      string                 `json:"parent,omitempty"`
	Children    []string               `json:"children"`
	Predicates  []string               `json:"predicates"`
	Aliases     []Alias                `json:"aliases"`
	Index       uint64                 `json:"index"`
}

// TraceResponse answers GET /v1/trace/{hash}: where a claim comes from and what
// became of it.
type TraceResponse struct {
	Root assertion.Hash `json:"root"`
	// Nodes are the claims of the chain, the root first, then by distance.
	Nodes []TraceNode `json:"nodes"`
	Edges []TraceEdge `json:"edges"`
	// Truncated says that the chain goes on beyond the bound of depth or size.
	Truncated bool   `json:"truncated,omitempty"`
	Index     uint64 `json:"index"`
}

// TraceNode is one claim of a chain.
type TraceNode struct {
	Hash assertion.Hash `json:"hash"`
	// Depth is the distance from the root.
	Depth int `json:"depth"`
	// Assertion is absent if the cluster does not have the claim: derived_from
	// may name claims that are kept elsewhere; and if the content defence hides the
	// claim, but for the one that was asked for.
	Assertion *Assertion `json:"assertion,omitempty"`
	// Review is that of a claim that is hidden: pending or rejected.
	Review        string         `json:"review,omitempty"`
	Votes         []Vote         `json:"votes"`
	Transitions   []Transition   `json:"transitions"`
	Supersessions []Supersession `json:"supersessions"`
	Source        *Source        `json:"source,omitempty"`
}

// TraceEdge joins two claims of a chain.
type TraceEdge struct {
	From assertion.Hash `json:"from"`
	To   assertion.Hash `json:"to"`
	// Relation is parent, derived_from, superseded_by or refined_by, read from
	// From to To.
	Relation string `json:"relation"`
}

// The relations of a TraceEdge.
const (
	RelationParent       = "parent"
	RelationDerivedFrom  = "derived_from"
	RelationSupersededBy = "superseded_by"
	RelationRefinedBy    = "refined_by"
)

// DiffResponse answers GET /v1/diff: what changed on a subject between two
// times.
type DiffResponse struct {
	Subject string `json:"subject"`
	// From and To are unix seconds on Axis, which is known_at or as_of.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	Axis string `json:"axis"`
	Lens string `json:"lens"`
	// Questions are the predicates with a change, in their order.
	Questions []QuestionDiff `json:"questions"`
	// Unchanged counts the other predicates of the subject.
	Unchanged int `json:"unchanged"`
	// Truncated says that the subject has more predicates or claims than were
	// compared. Lists cut at limit are marked at their question.
	Truncated bool   `json:"truncated,omitempty"`
	Index     uint64 `json:"index"`
}

// QuestionDiff is one question at two times.
type QuestionDiff struct {
	Predicate string `json:"predicate"`
	// Changed says that the resolution has another winner.
	Changed bool    `json:"changed"`
	Before  Outcome `json:"before"`
	After   Outcome `json:"after"`
	// Added are the claims that are selected at To and were not at From, newest
	// first, at most limit; Removed those that no longer are: hidden, superseded
	// or retracted. A claim whose signers have stated something newer stays.
	Added   []Assertion `json:"added"`
	Removed []Assertion `json:"removed"`
	// Truncated says that there are more than are listed, or more claims on the
	// question than were compared.
	Truncated bool `json:"truncated,omitempty"`
}

// Outcome is a resolution in short.
type Outcome struct {
	// Winner is absent if nothing answered the question.
	Winner        *assertion.ObjectValue `json:"winner,omitempty"`
	Confidence    float64                `json:"confidence"`
	ConflictScore float64                `json:"conflict_score"`
	Status        string                 `json:"status"`
	Values        int                    `json:"values"`
	Voices        uint64                 `json:"voices"`
}

// SameWinner reports whether two outcomes have the same winner, or both none.
func (o *Outcome) SameWinner(other *Outcome) bool {
	if o.Winner == nil || other.Winner == nil {
		return o.Winner == other.Winner
	}
	return *o.Winner == *other.Winner
}

// SameAnswer reports whether two outcomes have the same winner and status: what
// a watch of an answer tells apart.
func (o *Outcome) SameAnswer(other *Outcome) bool {
	return o.Status == other.Status && o.SameWinner(other)
}

// ConflictsResponse answers GET /v1/conflicts.
type ConflictsResponse struct {
	Questions  []ContestedQuestion `json:"questions"`
	NextCursor string              `json:"next_cursor,omitempty"`
	Index      uint64              `json:"index"`
}

// ContestedQuestion is a question of several values.
type ContestedQuestion struct {
	Subject       string                `json:"subject"`
	Predicate     string                `json:"predicate"`
	ConflictScore float64               `json:"conflict_score"`
	Disagreement  float64               `json:"disagreement"`
	Status        string                `json:"status"`
	Leading       assertion.ObjectValue `json:"leading"`
	// Share is that of the leading value.
	Share  float64 `json:"share"`
	Values int     `json:"values"`
	Voices uint64  `json:"voices"`
	// Findings are what the content defence found in claims for the leading value.
	Findings []assertion.Finding `json:"findings,omitempty"`
}

// SubjectsResponse answers GET /v1/subjects.
type SubjectsResponse struct {
	Subjects   []Subject `json:"subjects"`
	NextCursor string    `json:"next_cursor,omitempty"`
	Index      uint64    `json:"index"`
}

// Subject is a subject with the predicates that claims state of it.
type Subject struct {
	Subject    string   `json:"subject"`
	Predicates []string `json:"predicates"`
}

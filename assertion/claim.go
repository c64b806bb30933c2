package assertion

import (
	"cmp"
	"slices"
	"strings"
)

// Position is the place of a commit in the replicated log: the entry's index,
// then the place inside the entry. Positions order commits totally, the same
// way on every node.
type Position struct {
	Index  uint64
	Offset uint16
}

// Compare returns -1, 0 or 1 as p was committed before, with or after o.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Index, o.Index), cmp.Compare(p.Offset, o.Offset))
}

// Commit is when the cluster took something in: where in the log, and the
// leader's time of the entry in unix seconds.
type Commit struct {
	Position
	At uint64
}

// Claim is an assertion together with what the cluster knows of it.
type Claim struct {
	// Assertion holds the signatures of all co-signers, in the order in which
	// they were committed.
	Assertion
	// Hash is the content hash.
	Hash Hash
	// Commit is that of the first signer.
	Commit Commit
	// SignatureCommits is parallel to Signatures.
	SignatureCommits []Commit
	// Stage is the current stage: that of the newest transition, or the one
	// that the assertion states.
	Stage Lifecycle
	// Superseded says that a supersession of the type Replaces or Retracts names
	// the claim.
	Superseded bool
	// SourceRetracted says that the claim's source is retracted.
	SourceRetracted bool
	// Findings are what the content defence found as the claim came in.
	Findings []Finding
	// Review says whether they keep it out of answers.
	Review Review
	// Authority, if not "", is the id of the admin API key by which the claim, a
	// transition, decided on its parent, whose owner none of its signers is.
	Authority string
	// Ruled says that such a transition named the claim. Its owners no longer
	// decide on its stage.
	Ruled bool
}

// Transition reports whether the claim is a lifecycle transition. It decides on
// its parent, which says the same, and is no statement beside that: it is no
// voice, and answers leave it out.
func (c *Claim) Transition() bool { return c.ParentHash != nil }

// Visible reports whether queries show the claim unless asked otherwise, as far
// as it does not depend on its source.
func (c *Claim) Visible() bool {
	return c.Stage.Visible() && !c.Superseded && !c.Review.Hides() && !c.Transition()
}

// Owner reports whether an agent signed the claim when it was first committed.
// Only owners decide on it; whoever co-signs later agrees with it, no more.
func (c *Claim) Owner(agent AgentID) bool {
	for i := range c.SignatureCommits {
		if c.Signatures[i].AgentID == agent && c.SignatureCommits[i].Position == c.Commit.Position {
			return true
		}
	}
	return false
}

// NewerClaim reports whether a is newer than b: by timestamp, then by commit.
func NewerClaim(a, b *Claim) bool { return NewestFirst(a, b) < 0 }

// NewestFirst orders claims for a sort: by falling timestamp, then by falling
// commit.
func NewestFirst(a, b *Claim) int {
	return cmp.Or(cmp.Compare(b.Timestamp, a.Timestamp), b.Commit.Compare(a.Commit.Position))
}

// Filter selects claims. A zero field selects all, but for Lifecycles, whose
// nil selects the visible stages.
type Filter struct {
	// Subject is exact, or a prefix if SubjectPrefix is set.
	Subject       string
	SubjectPrefix bool
	Predicate     string
	// Lifecycles are the current stages wanted; nil means the visible ones.
	Lifecycles  []Lifecycle
	Epoch       *Hash
	SourceClass *SourceClass
	// Agent is among the signers.
	Agent *AgentID
	// Source is the source_hash.
	Source *Hash
	// MinConfidence is the least stated confidence, before decay.
	MinConfidence float64
	// AsOf is the latest timestamp, unix seconds; nil is no bound.
	AsOf *uint64
	// Superseded and Retracted select superseded claims and claims on retracted
	// sources too.
	Superseded, Retracted bool
	// Quarantined selects claims that the content defence hides too.
	Quarantined bool
}

// Match reports whether f selects c.
func (f Filter) Match(c *Claim) bool {
	switch {
	case f.SubjectPrefix && !strings.HasPrefix(c.Subject, f.Subject),
		!f.SubjectPrefix && f.Subject != "" && c.Subject != f.Subject,
		f.Predicate != "" && c.Predicate != f.Predicate,
		f.Lifecycles == nil && !c.Stage.Visible(),
		f.Lifecycles != nil && !slices.Contains(f.Lifecycles, c.Stage),
		f.Epoch != nil && (c.Epoch == nil || *c.Epoch != *f.Epoch),
		f.SourceClass != nil && c.SourceClass != *f.SourceClass,
		f.Agent != nil && !c.HasSigner(*f.Agent),
		f.Source != nil && c.SourceHash != *f.Source,
		f.AsOf != nil && c.Timestamp > *f.AsOf,
		c.Superseded && !f.Superseded,
		c.SourceRetracted && !f.Retracted,
		c.Review.Hides() && !f.Quarantined,
		c.Transition(),
		c.Confidence < f.MinConfidence:
		return false
	}
	return true
}

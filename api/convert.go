package api

import (
	"slices"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// The wire forms of a lens's answers. At most limit values are listed; the
// explanation counts them all.

func fromResolution(r *lens.Resolution, limit int) *v1.Resolution {
	out := &v1.Resolution{
		Lens: r.Explanation.Lens, RunnersUp: fromCandidates(r.RunnersUp, limit), Confidence: r.Confidence,
		ConflictScore: r.Conflict.Score, Disagreement: r.Conflict.Disagreement, Status: string(r.Conflict.Status),
		Explanation: fromExplanation(r.Explanation),
	}
	if r.Winner != nil {
		winner := fromCandidate(r.Winner)
		out.Winner = &winner
	}
	return out
}

func fromSkeptic(in lens.Input, r lens.SkepticResult, limit int) v1.SkepticResponse {
	listed := r.Values[:min(len(r.Values), limit)]
	claims := make([]v1.SkepticClaim, len(listed))
	for i := range listed {
		c := &listed[i]
		claims[i] = v1.SkepticClaim{Object: c.Object, Share: c.Share, Support: c.Support, Voices: c.Voices,
			Newest: c.Newest, Tiers: fromTiers(c.Tiers)}
	}
	return v1.SkepticResponse{
		Subject: in.Subject, Predicate: in.Predicate, Status: string(r.Conflict.Status),
		ConflictScore: r.Conflict.Score, Disagreement: r.Conflict.Disagreement, Claims: claims,
		Values: r.Explanation.Values, Voices: r.Explanation.Voices, Index: in.Index,
		Explanation: fromExplanation(r.Explanation),
	}
}

func fromLayered(in lens.Input, r lens.LayeredResult) v1.LayeredResponse {
	tiers := make([]v1.TierResult, len(r.Tiers))
	for i := range r.Tiers {
		t := &r.Tiers[i]
		tiers[i] = v1.TierResult{
			SourceClass: t.Class, Tier: t.Class.Tier(), Weight: t.Class.Weight(),
			Winner: v1.TierValue{Object: t.Winner.Object, Share: t.Winner.Share, Support: t.Winner.Support,
				Voices: t.Winner.Voices, Newest: t.Winner.Newest},
			ConflictScore: t.Conflict.Score, Values: t.Values, Voices: t.Voices,
		}
	}
	out := v1.LayeredResponse{
		Subject: in.Subject, Predicate: in.Predicate, CrossTierConflict: r.CrossTierConflict, Tiers: tiers,
		Values: r.Explanation.Values, Voices: r.Explanation.Voices, Index: in.Index,
		Explanation: fromExplanation(r.Explanation),
	}
	if r.Winner != nil {
		winner := fromCandidate(r.Winner)
		out.Winner = &winner
	}
	return out
}

func fromCandidates(all []lens.Candidate, limit int) []v1.Candidate {
	out := make([]v1.Candidate, min(len(all), limit))
	for i := range out {
		out[i] = fromCandidate(&all[i])
	}
	return out
}

func fromCandidate(c *lens.Candidate) v1.Candidate {
	return v1.Candidate{Object: c.Object, Score: c.Score, Share: c.Share, Support: c.Support, Voices: c.Voices,
		Newest: c.Newest, Tiers: fromTiers(c.Tiers), Claim: c.Claim}
}

func fromTiers(all []lens.TierSupport) []v1.TierSupport {
	out := make([]v1.TierSupport, len(all))
	for i, t := range all {
		out[i] = v1.TierSupport{SourceClass: t.Class, Tier: t.Class.Tier(), Weight: t.Class.Weight(),
			Voices: t.Voices, Confidence: t.Confidence, Support: t.Support}
	}
	return out
}

func fromExplanation(e lens.Explanation) v1.Explanation {
	return v1.Explanation{
		Lens: e.Lens, Parameters: e.Parameters, Rule: e.Rule, Decision: e.Decision, TieBreak: e.TieBreak,
		Values: e.Values, Voices: e.Voices, At: e.At, Index: e.Index,
		Source: string(e.Source), Scanned: e.Scanned, Truncated: e.Truncated,
		Aliases: e.Aliases, Joined: fromJoined(e.Joined), TrustHash: e.TrustHash,
		TruthHash: e.TruthHash, Method: e.Method, MethodChoice: e.MethodChoice,
		Weights: fromWeights(e.Weights), Unlisted: e.Unlisted,
	}
}

func fromJoined(all []lens.Joined) []v1.JoinedValues {
	out := make([]v1.JoinedValues, len(all))
	for i, j := range all {
		out[i] = v1.JoinedValues{Object: j.Object, Values: j.Values}
	}
	return out
}

func fromWeights(all []lens.VoiceWeight) []v1.VoiceWeight {
	out := make([]v1.VoiceWeight, len(all))
	for i, w := range all {
		out[i] = v1.VoiceWeight{
			Claim: w.Claim, AgentID: w.Agent, SourceHash: w.Source, Object: w.Object, SourceClass: w.Class, Timestamp: w.Timestamp,
			Confidence: w.Confidence, Decay: w.Decay, Effective: w.Effective, Weight: w.Class.Weight(), Support: w.Support,
		}
		if w.Counted != w.Object {
			out[i].Counted = &w.Counted
		}
		if w.Votes != nil {
			out[i].VoteWeight = &w.Votes.Weight
		}
		if w.Trust != nil {
			out[i].Trust, out[i].TrustBasis = &w.Trust.Value, w.Trust.Basis
		}
		if w.Truth != nil {
			out[i].Reliability, out[i].ReliabilityBasis, out[i].Independence = &w.Truth.Reliability, w.Truth.Basis, &w.Truth.Independence
		}
	}
	return out
}

func fromOutcome(r *lens.Resolution) *v1.Outcome {
	out := &v1.Outcome{Confidence: r.Confidence, ConflictScore: r.Conflict.Score, Status: string(r.Conflict.Status),
		Values: r.Explanation.Values, Voices: r.Explanation.Voices}
	if r.Winner != nil {
		out.Winner = &r.Winner.Object
	}
	return out
}

func fromConstraints(subject string, index uint64, r lens.ConstraintsResult) v1.ConstraintsResponse {
	out := v1.ConstraintsResponse{Subject: subject, Constraints: make([]v1.Constraint, len(r.Constraints)), Conflicts: r.Conflicts, Index: index}
	for i, c := range r.Constraints {
		sides := map[string]v1.Side{}
		for predicate, s := range c.Sides {
			sides[predicate] = v1.Side{Support: s.Support, Voices: s.Voices, Tiers: fromTiers(s.Tiers)}
		}
		out.Constraints[i] = v1.Constraint{Object: c.Object, Verdict: string(c.Verdict), ConflictScore: c.ConflictScore, Reasons: c.Reasons, Sides: sides}
	}
	return out
}

// findings are what the content defence found in the claims behind an answer, by
// value.
type findings map[assertion.Hash][]assertion.Finding

// findings reads them for an answer: from its claims if it was scanned, else
// from the index.
func (r reader) findings(a ask, in lens.Input) (findings, error) {
	claims := in.Stated
	if in.Source == lens.FromAggregates {
		var err error
		if claims, err = r.view.Found(in.Subject, a.filter.Predicate); err != nil {
			return nil, err
		}
	}
	counted := map[assertion.Hash]assertion.Hash{} // a value that another one is counted as
	for _, j := range in.Joined {
		for _, v := range j.Values {
			counted[v.Key()] = j.Object.Key()
		}
	}
	var all findings
	for _, c := range claims {
		if len(c.Findings) == 0 {
			continue
		}
		key := c.Object.Key()
		if as, joined := counted[key]; joined {
			key = as
		}
		if all == nil {
			all = findings{}
		}
		for _, f := range c.Findings {
			if !slices.Contains(all[key], f) {
				all[key] = append(all[key], f)
			}
		}
	}
	return all, nil
}

// of is what was found in claims for a value.
func (f findings) of(object assertion.ObjectValue) []assertion.Finding {
	if f == nil {
		return nil
	}
	return f[object.Key()]
}

// mark puts the findings beside the values of a resolution.
func (f findings) mark(r *v1.Resolution) {
	if r.Winner != nil {
		r.Winner.Findings = f.of(r.Winner.Object)
	}
	for i := range r.RunnersUp {
		r.RunnersUp[i].Findings = f.of(r.RunnersUp[i].Object)
	}
}

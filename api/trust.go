package api

import (
	"net/url"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/unicode/norm"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens/trust"
)

// planTrust is GET /v1/trust/:agent.
func planTrust(c echo.Context, q url.Values) (readPlan, error) {
	agent, err := assertion.ParseAgentID(c.Param("agent"))
	if err != nil {
		return nil, invalid("agent", err.Error(), "give the agent's public key in lower-case hexadecimal")
	}
	predicate := norm.NFC.String(q.Get("predicate"))
	return func(r reader) (any, error) {
		scores, err := r.trust()
		if err != nil {
			return nil, err
		}
		held, err := r.view.Endorsements(&agent)
		if err != nil {
			return nil, err
		}
		score := scores.Trust(agent, predicate)
		out := v1.TrustResponse{AgentID: agent, Trust: score.Value, Basis: score.Basis, Predicate: predicate, TrustRank: trust.Start,
			Predicates: []v1.TrustRecord{}, Endorses: make([]v1.Endorsement, len(held)), TrustHash: scores.Hash(), Index: r.index()}
		for i, e := range held {
			out.Endorses[i] = v1.Endorsement{Hash: e.Entry.Hash(), Endorsement: *e.Entry, Commit: v1.FromCommit(e.Commit)}
		}
		if scores == nil {
			return out, nil
		}
		out.ComputedIndex = scores.Index
		if a, known := scores.Agent(agent); known {
			out.TrustRank = trust.Rank{Value: a.Rank, At: a.RankedAt}.Decayed(r.at)
			out.Right, out.Wrong = a.Right, a.Wrong
			if a.InGraph {
				out.Endorsed = &a.Endorsed
			}
		}
		for _, record := range scores.RecordsOf(agent) {
			out.Predicates = append(out.Predicates, v1.TrustRecord{Predicate: record.Predicate, Trust: scores.Trust(agent, record.Predicate).Value,
				TrustRank: trust.Rank{Value: record.Rank, At: record.RankedAt}.Decayed(r.at), Right: record.Right, Wrong: record.Wrong})
		}
		return out, nil
	}, nil
}

// planGold is GET /v1/admin/gold.
func planGold(echo.Context, url.Values) (readPlan, error) {
	return func(r reader) (any, error) {
		labels, err := r.view.Labels()
		if err != nil {
			return nil, err
		}
		scores, err := r.trust()
		if err != nil {
			return nil, err
		}
		seeds, set, err := r.view.Seeds()
		if err != nil {
			return nil, err
		}
		out := v1.GoldResponse{Labels: make([]v1.GoldLabel, len(labels)), Seeds: []assertion.AgentID{}, TrustHash: scores.Hash(), Index: r.index()}
		for i, l := range labels {
			out.Labels[i] = v1.GoldLabel{Label: *l.Entry, Commit: v1.FromCommit(l.Commit)}
		}
		if set {
			out.Seeds = seeds.Agents
		}
		if scores != nil {
			out.ComputedIndex = scores.Index
		}
		return out, nil
	}, nil
}

// planNodeKeys is GET /v1/cluster/keys.
func planNodeKeys(echo.Context, url.Values) (readPlan, error) {
	return func(r reader) (any, error) {
		keys, err := r.view.NodeKeys()
		if err != nil {
			return nil, err
		}
		out := v1.NodeKeysResponse{ClusterID: r.view.ClusterID(), Keys: make([]v1.NodeKey, len(keys)), Index: r.index()}
		for i, k := range keys {
			out.Keys[i] = v1.NodeKey{NodeKey: *k.Entry, Commit: v1.FromCommit(k.Commit)}
		}
		return out, nil
	}, nil
}

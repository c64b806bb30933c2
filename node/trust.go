package node

import (
	"context"
	"errors"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/lens/trust"
)

// The leader computes the trust in agents in the background, whenever gold
// labels, endorsements or seeds have changed, and writes the result to the log
// as one entry: every node then reads the same trust, and an answer can name
// it. Writes never wait for it.

// keepTrust is the loop behind that. It looks for changes with the ticks of
// TrustInterval, so that a burst of them is computed once.
func (n *Node) keepTrust() {
	n.whileLeading(n.cfg.TrustInterval, func() {}, func() {
		if err := n.refreshTrust(); err != nil && n.ctx.Err() == nil && !passes(err) {
			n.log.Warn("the trust in agents was not computed anew", "error", err)
		}
	})
}

// passes tells whether a write that the node repeats anyway was refused for a
// reason of which others tell.
func passes(err error) bool {
	return errors.Is(err, ErrNoLeader) || errors.Is(err, ErrDisk) || errors.Is(err, ErrDiskSpace)
}

// whileLeading calls refresh with every tick in which the node leads and takes
// writes, and idle with every one in which it does not lead, until the node stops.
func (n *Node) whileLeading(interval time.Duration, idle, refresh func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		switch {
		case !n.leads() || n.stopping.Load():
			idle()
		case n.refusesForSpace() == nil: // else what it computes could not be written
			refresh()
		}
	}
}

// writeComputed writes the result of a background computation to the log, and
// returns its size.
func (n *Node) writeComputed(of assertion.Kind, index uint64, encode func() ([]byte, error)) (size int, err error) {
	data, err := encode()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout)
	defer cancel()
	_, err = n.Write(ctx, Caller{}, &assertion.Computed{Of: of, Index: index, Data: data})
	return len(data), err
}

// refreshTrust computes the trust anew if something that it rests on was
// committed after the state that the newest one was computed from.
func (n *Node) refreshTrust() error {
	began := time.Now()
	scores, err := n.computeTrust()
	if err != nil || scores == nil {
		return err
	}
	if _, err := n.writeComputed(assertion.KindTrust, scores.Index, scores.Encode); err != nil {
		return err
	}
	n.log.Info("computed the trust in agents", "hash", scores.Hash(), "agents", len(scores.Agents), "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// computeTrust returns nil if the newest trust holds. It is asked with every
// tick, so that it looks at the place of the last change first.
func (n *Node) computeTrust() (*trust.Scores, error) {
	view, err := n.fsm.View()
	if err != nil {
		return nil, err
	}
	defer view.Close()
	newest, err := view.NewestTrustChange()
	if err != nil || newest.Index == 0 {
		return nil, err
	}
	computed, found, err := view.Computed(assertion.KindTrust)
	if err != nil || found && newest.Index <= computed.Entry.Index {
		return nil, err
	}
	in, err := trustInput(view)
	if err != nil {
		return nil, err
	}
	return trust.Compute(in)
}

// trustInput reads what trust rests on.
func trustInput(view *index.View) (trust.Input, error) {
	in := trust.Input{Index: view.Applied().Index, At: view.Applied().CommittedAt}
	endorsements, err := view.Endorsements(nil)
	if err != nil {
		return in, err
	}
	for _, e := range endorsements {
		in.Endorsements = append(in.Endorsements, trust.Endorsement{From: e.Entry.AgentID, To: e.Entry.Endorsed, Weight: e.Entry.Weight})
	}
	seeds, set, err := view.Seeds()
	if err != nil {
		return in, err
	}
	if set {
		in.Seeds = seeds.Agents
	}
	labels, err := view.Labels()
	if err != nil {
		return in, err
	}
	for _, l := range labels {
		verdicts, err := verdictsOf(view, l)
		if err != nil {
			return in, err
		}
		in.Verdicts = append(in.Verdicts, verdicts...)
	}
	return in, nil
}

// maxJudged bounds the claims on one question that a gold label is held
// against, newest first.
const maxJudged = 100_000

// verdictsOf judges each agent by the newest claim on the question that it had
// signed before the label was committed, as it was known then: who takes a claim
// back once it is known to be wrong has made it all the same. The view shows
// that time afterwards.
func verdictsOf(view *index.View, l assertion.Recorded[*assertion.Label]) (verdicts []trust.Verdict, err error) {
	view.KnownAt(l.Commit.At)
	it := view.Scan(assertion.Filter{Subject: l.Entry.Subject, Predicate: l.Entry.Predicate})
	it.StopAfter(maxJudged)
	defer func() { err = errors.Join(err, it.Close()) }()
	judged := map[assertion.AgentID]bool{}
	for it.Next() {
		c := it.Claim()
		for i, s := range c.Signatures {
			if judged[s.AgentID] || c.SignatureCommits[i].Compare(l.Commit.Position) >= 0 {
				continue
			}
			judged[s.AgentID] = true
			verdicts = append(verdicts, trust.Verdict{Agent: s.AgentID, Predicate: l.Entry.Predicate, Right: c.Object == l.Entry.Object, At: l.Commit.At})
		}
	}
	return verdicts, it.Err()
}

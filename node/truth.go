package node

import (
	"errors"
	"slices"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/lens/truth"
)

// The leader learns the model of the truth lens in the background and writes it
// to the log as one entry, as it does with the trust in agents. Each model stays
// in the log for ever, for the sake of answers about the past, so that a new one
// is worth its bytes only when much has changed.

const (
	// truthGrowth is by what part of the claims their number must have grown for a
	// new model; up to truthSmall claims one more is enough.
	truthGrowth = 0.2
	truthSmall  = 1000
	// truthAge is after which time any change leads to a new model: retractions
	// and supersessions do not make more claims.
	truthAge = time.Hour
	// truthRest is for how many times as long as a model took to be learnt none is
	// learnt after it: where claims grow fast, learning takes at most a twentieth of a
	// processor.
	truthRest = 19
)

// learner remembers what the last model was learnt from.
type learner struct {
	index, claims uint64
	at            time.Time     // when it was learnt
	took          time.Duration // how long that took
	model         *truth.Model
}

// resting reports whether it is too soon to learn again.
func (l *learner) resting(now time.Time) bool { return now.Sub(l.at) < truthRest*l.took }

// keepTruth is the loop behind that.
func (n *Node) keepTruth() {
	var l learner
	forget := func() { l = learner{} } // another leader may learn meanwhile
	n.whileLeading(n.cfg.TruthInterval, forget, func() {
		if err := n.refreshTruth(&l); err != nil && n.ctx.Err() == nil && !passes(err) {
			n.log.Warn("the model of the truth lens was not learnt anew", "error", err)
		}
	})
}

// refreshTruth learns a new model if it is due, and writes it if it says
// something new.
func (n *Node) refreshTruth(l *learner) error {
	if l.resting(time.Now()) {
		return nil
	}
	learnt, err := n.learnTruth(l)
	if err != nil || learnt == nil {
		return err
	}
	model := learnt.model
	if model.Same(l.model) {
		learnt.model = l.model
		*l = *learnt
		return nil
	}
	size, err := n.writeComputed(assertion.KindTruth, model.Index, model.Encode)
	if err != nil {
		return err
	}
	*l = *learnt // only now: what was not written is learnt again
	n.log.Info("learnt the model of the truth lens", "hash", model.Hash(), "claims", model.Claims, "questions", model.Questions,
		"bytes", size, "took", learnt.took.Round(time.Millisecond).String())
	return nil
}

// learnTruth learns from the state of now; nil if no model is due.
func (n *Node) learnTruth(l *learner) (*learner, error) {
	began := time.Now()
	view, err := n.fsm.View()
	if err != nil {
		return nil, err
	}
	defer view.Close()
	if due, err := l.due(view); err != nil || !due {
		return nil, err
	}
	model, err := learnFrom(view)
	if err != nil {
		return nil, err
	}
	return &learner{index: view.Applied().Index, claims: view.Count(), at: time.Now(), took: time.Since(began), model: model}, nil
}

// due reports whether a new model may say something new.
func (l *learner) due(view *index.View) (bool, error) {
	if l.at.IsZero() { // this node has just become the leader
		computed, found, err := view.Computed(assertion.KindTruth)
		if err != nil {
			return false, err
		}
		if found {
			if l.model, err = truth.Decode(computed.Entry.Data); err != nil {
				return false, err
			}
		}
		contested, _, err := view.Contested("", 1)
		return len(contested) > 0, err
	}
	labels, err := view.Labels()
	if err != nil {
		return false, err
	}
	labelled := slices.ContainsFunc(labels, func(r assertion.Recorded[*assertion.Label]) bool { return r.Commit.Index > l.index })
	applied := view.Applied().Index
	more := view.Count() - l.claims
	grown := float64(more) > truthGrowth*float64(l.claims) || more > 0 && view.Count() <= truthSmall
	return labelled || grown || applied > l.index && time.Since(l.at) > truthAge, nil
}

// learnFrom learns from the newest claims that a view shows.
func learnFrom(view *index.View) (model *truth.Model, err error) {
	labels, err := view.Labels()
	if err != nil {
		return nil, err
	}
	builder := truth.NewBuilder(labels)
	it := view.Scan(assertion.Filter{})
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.Next() && builder.Add(it.Claim()) {
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	return builder.Learn(view.Applied().Index, view.Applied().CommittedAt)
}

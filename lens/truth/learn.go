package truth

import "math"

// partial is how many voices the reliability over all predicates stands for
// when that on one predicate is learnt.
const partial = 20

// rounds bounds the alternation in each stage; it ends before when no rate moves
// by more than settled.
const (
	rounds  = 30
	settled = 1e-6
)

// rates are what a method learnt.
type rates struct {
	of     []float64 // by key
	voices []float64 // by key: how many each rate rests on, by their weight
	norm   []float64 // by predicate
	whole  []float64 // by agent, over all predicates
}

// learn runs a method on a problem. At first an agent has one rate for all
// predicates: how it does where agents can be told apart decides whom to believe
// where they cannot. Then each predicate has its own.
func learn(p *problem, m method, c *copying) *rates {
	r := &rates{of: make([]float64, len(p.keys)), norm: make([]float64, len(p.predicates))}
	for k := range r.of {
		r.of[k], _ = m.prior()
	}
	if _, only := m.(calibrated); only {
		r.calibrate(p, m)
		return r
	}
	weights := c.weights(p)
	beliefs := make([][]float64, len(p.questions))
	for i := range p.questions {
		q := &p.questions[i]
		votes := make([]float64, q.values)
		for _, v := range q.voices {
			votes[v.value] += v.weight
		}
		beliefs[i] = held(q, shares(votes))
	}
	if p.labels() >= minLabels { // begin where the labels point
		r.calibrate(p, m)
		beliefs = r.beliefs(p, m, weights)
	}
	for _, own := range []bool{false, true} {
		for range rounds {
			moved := r.update(p, m, beliefs, weights, own)
			beliefs = r.beliefs(p, m, weights)
			if moved < settled {
				break
			}
		}
	}
	return r
}

// pseudo is how many voices an agent's prior stands for where its rates rest on
// gold labels alone.
const pseudo = 2

// calibrate sets the rates to what the gold labels alone say: the part of the
// agent's labelled voices on the predicate that are right, held towards that on
// all predicates, and this towards a half.
func (r *rates) calibrate(p *problem, m method) {
	e := newEarned(p)
	for i := range p.questions {
		q := &p.questions[i]
		if q.gold == unlabelled {
			continue
		}
		for _, v := range q.voices {
			credit := 0.0
			if v.value == q.gold {
				credit = 1
			}
			e.take(v, credit)
		}
	}
	r.whole = e.whole(0.5, pseudo)
	r.of, r.voices = e.own(p, r.whole, pseudo, 0.5), e.weight
	r.norm = finish(p, m, r.of)
}

// earned is what voices earned, by key and by agent.
type earned struct {
	credit, weight           []float64
	agentCredit, agentWeight []float64
}

func newEarned(p *problem) *earned {
	return &earned{credit: make([]float64, len(p.keys)), weight: make([]float64, len(p.keys)),
		agentCredit: make([]float64, len(p.agents)), agentWeight: make([]float64, len(p.agents))}
}

// take adds the credit of a voice, by the voice's weight.
func (e *earned) take(v voice, credit float64) {
	e.credit[v.key] += v.weight * credit
	e.weight[v.key] += v.weight
	e.agentCredit[v.agent] += v.weight * credit
	e.agentWeight[v.agent] += v.weight
}

// whole is the mean credit of each agent over all predicates, held towards a
// prior as by so many more voices.
func (e *earned) whole(prior, voices float64) []float64 {
	out := make([]float64, len(e.agentCredit))
	for a := range out {
		out[a] = mean(e.agentCredit[a]+prior*voices, e.agentWeight[a]+voices, prior)
	}
	return out
}

// own is the mean credit of each key, held towards the agent's whole as by so
// many more voices.
func (e *earned) own(p *problem, whole []float64, voices, absent float64) []float64 {
	out := make([]float64, len(p.keys))
	for k, name := range p.keys {
		out[k] = mean(e.credit[k]+voices*whole[name.agent], e.weight[k]+voices, absent)
	}
	return out
}

// held are the beliefs on a question, or its gold label where it has one.
func held(q *question, beliefs []float64) []float64 {
	if q.gold == unlabelled {
		return beliefs
	}
	known := make([]float64, len(beliefs))
	if q.gold >= 0 {
		known[q.gold] = 1
	}
	return known
}

// beliefs are those on every question.
func (r *rates) beliefs(p *problem, m method, weights [][]float64) [][]float64 {
	out := make([][]float64, len(p.questions))
	for i := range p.questions {
		q := &p.questions[i]
		out[i] = held(q, m.beliefs(q.values, r.weigh(q, weights[i]), r.norm[q.predicate]))
	}
	return out
}

// weigh puts the rates beside the voices of a question.
func (r *rates) weigh(q *question, independence []float64) []weighed {
	out := make([]weighed, len(q.voices))
	for i, v := range q.voices {
		out[i] = weighed{value: v.value, weight: v.weight * independence[i], rate: r.of[v.key]}
	}
	return out
}

// update learns the rates from the beliefs and returns how far one moved at
// most. With own, each predicate has its own rate for an agent, held towards the
// agent's whole as by partial more voices.
func (r *rates) update(p *problem, m method, beliefs, weights [][]float64, own bool) (moved float64) {
	e := newEarned(p)
	for i := range p.questions {
		q := &p.questions[i]
		voices := r.weigh(q, weights[i])
		back := backing(q.values, voices)
		for j, v := range q.voices {
			e.take(v, m.credit(voices[j], beliefs[i], back))
		}
	}
	prior, voices := m.prior()
	whole := e.whole(prior, voices)
	var next []float64
	if own {
		next = e.own(p, whole, partial, prior)
	} else {
		next = make([]float64, len(p.keys))
		for k, name := range p.keys {
			next[k] = whole[name.agent]
		}
	}
	r.norm = finish(p, m, next)
	for k := range next {
		moved = max(moved, math.Abs(next[k]-r.of[k]))
	}
	m.finish(whole)
	r.of, r.whole, r.voices = next, whole, e.weight
	return moved
}

// finish finishes the rates predicate by predicate.
func finish(p *problem, m method, next []float64) (norm []float64) {
	norm = make([]float64, len(p.predicates))
	for i, keys := range p.keysOf {
		of := make([]float64, len(keys))
		for j, k := range keys {
			of[j] = next[k]
		}
		norm[i] = m.finish(of)
		for j, k := range keys {
			next[k] = of[j]
		}
	}
	return norm
}

func mean(sum, n, absent float64) float64 {
	if n <= 0 {
		return absent
	}
	return sum / n
}

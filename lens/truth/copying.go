package truth

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Copying is detected as Dong, Berti-Equille and Srivastava do ("Integrating
// Conflicting Data: The Role of Source Dependence", PVLDB 2(1), 2009, section
// 3): agents who share what is probably wrong are dependent, for independent
// ones seldom make the same mistake; who share what is right need not be. For
// each question with several values that two agents both answer:
//
//   - the same value, believed with P: likelihood if independent
//     I = P × A₁ × A₂ + (1 − P) × (1 − A₁) × (1 − A₂) × popularity,
//     if one copies C = rate × (P × A + (1 − P) × (1 − A) × popularity) + (1 − rate) × I,
//     with A the mean of both accuracies;
//   - different values: 1 if independent, 1 − rate if one copies.
//
// The product of the ratios and the prior give the probability of dependence.
// Popularity, the part of the voices that state the value, takes the place of
// the paper's 1/n, as in PopAccu.
const (
	copyRate  = 0.8 // how much of what it says a copier copies
	copyPrior = 0.1 // that two agents are dependent
	minCopy   = 0.5 // less probable dependence is left alone
)

// The bounds of the search for copying.
const (
	maxVoicesCompared = 100
	maxComparisons    = 20_000_000
	maxPairs          = 5_000
)

// pair is two agents, the smaller number first.
type pair struct{ a, b int }

// copying is which agents are dependent, and how probably.
type copying struct{ pairs map[pair]float64 }

func (c *copying) of(a, b int) float64 {
	switch {
	case a == b:
		return 1
	case c == nil:
		return 0
	}
	return c.pairs[pair{min(a, b), max(a, b)}]
}

// weights are the independence of every voice of a problem.
func (c *copying) weights(p *problem) [][]float64 {
	out := make([][]float64, len(p.questions))
	for i := range p.questions {
		voices := p.questions[i].voices
		out[i] = independence(len(voices), func(j int) (agent, value int) { return voices[j].agent, voices[j].value }, c.of)
	}
	return out
}

// independence is the part of each of n voices that counts: 1 / (1 + copyRate ×
// Σ over the other voices for the same value of the probability of dependence).
// A group that copies itself counts a little more than one voice. An agent's
// further voices for the same value are its own copies, however many; of more
// than maxVoicesCompared other agents, the first ones stand for all.
func independence(n int, at func(int) (agent, value int), dependence func(a, b int) float64) []float64 {
	out := make([]float64, n)
	byValue := map[int][]int{}
	for i := range n {
		_, value := at(i)
		byValue[value] = append(byValue[value], i)
	}
	for _, same := range byValue {
		var agents []int // in the order of their first voices
		voices, parts := map[int]float64{}, map[int]float64{}
		for _, i := range same {
			agent, _ := at(i)
			if voices[agent] == 0 {
				agents = append(agents, agent)
			}
			voices[agent]++
		}
		compared := agents[:min(len(agents), maxVoicesCompared)]
		for _, agent := range agents {
			var depends, seen float64
			for _, other := range compared {
				if other != agent {
					depends += voices[other] * dependence(agent, other)
					seen += voices[other]
				}
			}
			if others := float64(len(same)) - voices[agent]; seen > 0 {
				depends *= others / seen
			}
			parts[agent] = 1 / (1 + copyRate*(voices[agent]-1+depends))
		}
		for _, i := range same {
			agent, _ := at(i)
			out[i] = parts[agent]
		}
	}
	return out
}

// detect finds the dependent agents, given what is believed.
func detect(p *problem, r *rates, beliefs [][]float64) *copying {
	logs, work := map[pair]float64{}, 0
	for i := range p.questions {
		q := &p.questions[i]
		if q.values < 2 || work > maxComparisons {
			continue
		}
		voices := q.voices[:min(len(q.voices), maxVoicesCompared)]
		popularity := make([]float64, q.values)
		for _, v := range voices {
			popularity[v.value] += 1 / float64(len(voices))
		}
		believed := beliefs[i]
		for j, v := range voices {
			for _, w := range voices[:j] {
				if v.agent == w.agent {
					continue
				}
				work++
				name := pair{min(v.agent, w.agent), max(v.agent, w.agent)}
				if v.value != w.value {
					logs[name] += math.Log(1 - copyRate)
					continue
				}
				one, other, p := r.of[v.key], r.of[w.key], believed[v.value]
				mean, wrong := (one+other)/2, (1-p)*popularity[v.value]
				independent := p*one*other + wrong*(1-one)*(1-other)
				copied := copyRate*(p*mean+wrong*(1-mean)) + (1-copyRate)*independent
				logs[name] += math.Log(copied / independent)
			}
		}
	}
	c := &copying{pairs: map[pair]float64{}}
	for name, l := range logs {
		if p := 1 / (1 + math.Exp(-l)*(1-copyPrior)/copyPrior); p >= minCopy {
			c.pairs[name] = p
		}
	}
	if len(c.pairs) > maxPairs {
		likeliest := slices.SortedFunc(maps.Keys(c.pairs), func(x, y pair) int {
			return cmp.Or(cmp.Compare(c.pairs[y], c.pairs[x]), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
		})
		for _, name := range likeliest[maxPairs:] {
			delete(c.pairs, name)
		}
	}
	return c
}

// detections is how often copying is detected anew with what was learnt
// knowing of it.
const detections = 3

// learnCopying runs the default method and the detection in turn.
func learnCopying(p *problem) *copying {
	m := methods()[0]
	var c *copying
	for range detections {
		r := learn(p, m, c)
		c = detect(p, r, r.beliefs(p.hidden(everyFold), m, c.weights(p)))
	}
	return c
}

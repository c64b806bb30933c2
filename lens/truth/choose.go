package truth

import "math"

// minLabels is how many measurable gold labels it takes to choose a method by
// them.
const minLabels = 10

// choice is the method of one predicate.
type choice struct {
	method int
	basis  basis
	// labels were measured, right of them answered by the method chosen, fallback
	// of them by the default one.
	labels, right, fallback int
}

// basis is what a choice rests on.
type basis uint8

const (
	byDefault   basis = iota // too few labels
	byPredicate              // the labels on the predicate
	byAll                    // the labels on all predicates, too few on this one
)

// choose measures every method against the gold labels that it did not see: the
// labels are split in two halves, each hidden in turn. A method takes the
// default's place if it is right where the default is wrong so much oftener than
// the other way round that it is not chance: by more than the square root of the
// number of answers in which the two differ in being right, one standard
// deviation of the sign test.
//
// Without labels no measure that we know of tells which method is right: the
// likelihood of the data prefers a popular mistake (docs/truth.md has the
// figures), so the default stays.
func choose(p *problem) []choice {
	out := make([]choice, len(p.predicates))
	right, total := measure(p)
	if total == nil {
		return out
	}
	every := make([]int, len(p.predicates))
	for i := range every {
		every[i] = i
	}
	whole := pick(right, total, every)
	for i := range out {
		switch own := pick(right, total, []int{i}); {
		case own.labels >= minLabels:
			own.basis = byPredicate
			out[i] = own
		case whole.labels >= minLabels:
			whole.basis = byAll
			out[i] = whole
		}
	}
	return out
}

// measure returns for each predicate and measurable question which methods
// answered it rightly; total counts the questions. Both are nil if there are too
// few labels for any choice.
func measure(p *problem) (right [][][]bool, total []int) {
	total = make([]int, len(p.predicates))
	labels := 0
	for i := range p.questions {
		if q := &p.questions[i]; q.measurable() {
			total[q.predicate]++
			labels++
		}
	}
	if labels < minLabels {
		return nil, nil
	}
	right = make([][][]bool, len(p.predicates))
	for fold := range 2 {
		hidden := p.hidden(fold)
		known := learnCopying(hidden)
		weights := known.weights(hidden)
		answers := make([][][]float64, len(methods()))
		for i, m := range methods() {
			answers[i] = learn(hidden, m, known).beliefs(hidden, m, weights)
		}
		for i := range p.questions {
			q := &p.questions[i]
			if !q.measurable() || q.fold != fold {
				continue
			}
			verdicts := make([]bool, len(answers))
			for j := range answers {
				verdicts[j] = best(answers[j][i]) == q.gold
			}
			right[q.predicate] = append(right[q.predicate], verdicts)
		}
	}
	return right, total
}

// pick chooses the method of some predicates.
func pick(right [][][]bool, total, predicates []int) (c choice) {
	wins, losses, correct := make([]int, len(methods())), make([]int, len(methods())), make([]int, len(methods()))
	for _, k := range predicates {
		c.labels += total[k]
		for _, verdicts := range right[k] {
			for m, ok := range verdicts {
				switch {
				case ok && !verdicts[0]:
					wins[m]++
				case !ok && verdicts[0]:
					losses[m]++
				}
				if ok {
					correct[m]++
				}
			}
		}
	}
	for m := range wins {
		ahead := float64(wins[m] - losses[m])
		if ahead > math.Sqrt(float64(wins[m]+losses[m])) && correct[m] > correct[c.method] {
			c.method = m
		}
	}
	c.right, c.fallback = correct[c.method], correct[0]
	return c
}

// best is the value believed most, the first of equals.
func best(beliefs []float64) int {
	at := 0
	for v, b := range beliefs {
		if b > beliefs[at] {
			at = v
		}
	}
	return at
}

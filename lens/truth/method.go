package truth

import "math"

// method is one published way to learn reliability: alternately, beliefs in
// values follow from the reliability of their voices, and reliability follows
// from the beliefs.
type method interface {
	// name is the method's name in answers.
	name() string
	// beliefs are how far each value is believed, parallel to the values, summing
	// to 1, given the voices with their rates.
	beliefs(values int, voices []weighed, norm float64) []float64
	// credit is what a voice earns, given the beliefs: its mean over an agent's
	// voices is the agent's next rate.
	credit(v weighed, beliefs, backing []float64) float64
	// prior is the rate of an agent of whom nothing is known, and how many voices
	// it stands for.
	prior() (rate, voices float64)
	// finish puts the rates of one predicate (or of all) in the range that the
	// method needs, and returns what beliefs want to know of all of them.
	finish(rates []float64) (norm float64)
}

// methods are all of them; the first is the default.
func methods() []method { return []method{popAccu{}, accu{}, pooledInvestment{}, crh{}, calibrated{}} }

// weighed is a voice with what it weighs.
type weighed struct {
	value int
	// rate is the method's figure for the agent on the predicate.
	rate float64
	// weight is stated confidence × independence, 0 to 1.
	weight float64
}

// softmax turns log-probabilities into probabilities.
func softmax(logs []float64) []float64 {
	most := math.Inf(-1)
	for _, l := range logs {
		most = max(most, l)
	}
	var total float64
	for i, l := range logs {
		logs[i] = math.Exp(l - most)
		total += logs[i]
	}
	for i := range logs {
		logs[i] /= total
	}
	return logs
}

// shares scales figures to sum to 1; all equal if none is above 0.
func shares(figures []float64) []float64 {
	var total float64
	for _, f := range figures {
		total += f
	}
	for i := range figures {
		if total > 0 {
			figures[i] /= total
		} else {
			figures[i] = 1 / float64(len(figures))
		}
	}
	return figures
}

// backing is the sum of weight × rate behind each value.
func backing(values int, voices []weighed) []float64 {
	sums := make([]float64, values)
	for _, v := range voices {
		sums[v.value] += v.weight * v.rate
	}
	return sums
}

// The range of an accuracy: nobody is certainly right or wrong.
const (
	minAccuracy = 0.01
	maxAccuracy = 0.99
)

// clamp holds accuracies in their range.
func clamp(rates []float64) {
	for i := range rates {
		rates[i] = min(max(rates[i], minAccuracy), maxAccuracy)
	}
}

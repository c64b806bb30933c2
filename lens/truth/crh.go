package truth

import "math"

// crh is CRH with the 0-1 loss: Li, Li, Gao, Zhao, Fan, Han, "Resolving
// Conflicts in Heterogeneous Data by Truth Discovery and Source Reliability
// Estimation", SIGMOD 2014, section 2. An agent's loss is the part of its voices
// that do not state the winner; its voices weigh −ln(loss / Σ of all losses), and
// the value of the largest weight wins. The rate is 1 − loss.
type crh struct{}

// minLoss keeps an agent without a mistake from weighing infinitely much.
const minLoss = 1e-3

func (crh) name() string { return "crh" }

// beliefs takes as norm the sum of all losses.
func (crh) beliefs(values int, voices []weighed, norm float64) []float64 {
	sums := make([]float64, values)
	for _, v := range voices {
		loss := max(1-v.rate, minLoss)
		sums[v.value] += v.weight * max(0, math.Log(max(norm, loss)/loss))
	}
	return shares(sums)
}

func (crh) credit(v weighed, beliefs, _ []float64) float64 {
	for value, b := range beliefs {
		if b > beliefs[v.value] || b == beliefs[v.value] && value < v.value {
			return 0
		}
	}
	if beliefs[v.value] == 0 { // no value of a question is the labelled one
		return 0
	}
	return 1
}

func (crh) prior() (rate, voices float64) { return 0.5, 1 }

func (crh) finish(rates []float64) (norm float64) {
	for i := range rates {
		rates[i] = min(rates[i], 1-minLoss)
		norm += 1 - rates[i]
	}
	return norm
}

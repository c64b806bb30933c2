package truth

import "math"

// popAccu is PopAccu: Dong, Saha, Srivastava, "Less is More: Selecting Sources
// Wisely for Integration", PVLDB 6(2), 2012, section 3. A voice is right with
// the agent's accuracy A; a wrong voice states another value with that value's
// popularity among the wrong ones, so that a popular mistake is no surprise:
//
//	P(voices | v true) = Π over voices for v of A × Π over the others, for u, of
//	(1 − A) × n(u) / (n − n(v))
//
// where n(u) counts voices for u and n all of them.
type popAccu struct{}

func (popAccu) name() string { return "popaccu" }

func (popAccu) beliefs(values int, voices []weighed, _ float64) []float64 {
	counts, all := make([]float64, values), 0.0
	right, wrong, wrongs := make([]float64, values), make([]float64, values), 0.0
	for _, v := range voices {
		counts[v.value] += v.weight
		all += v.weight
		right[v.value] += v.weight * math.Log(v.rate)
		wrong[v.value] += v.weight * math.Log(1-v.rate)
		wrongs += v.weight * math.Log(1-v.rate)
	}
	popular := 0.0 // Σ n(u) ln n(u)
	for _, n := range counts {
		popular += entropic(n)
	}
	logs := make([]float64, values)
	for v, n := range counts {
		logs[v] = right[v] + wrongs - wrong[v] + popular - entropic(n)
		if others := all - n; others > 0 {
			logs[v] -= others * math.Log(others)
		}
	}
	return softmax(logs)
}

// entropic is n ln n, 0 at 0.
func entropic(n float64) float64 {
	if n <= 0 {
		return 0
	}
	return n * math.Log(n)
}

func (popAccu) credit(v weighed, beliefs, _ []float64) float64 { return beliefs[v.value] }

func (popAccu) prior() (rate, voices float64) { return 0.8, 2 }

func (popAccu) finish(rates []float64) float64 { clamp(rates); return 0 }

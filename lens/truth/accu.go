package truth

import "math"

// accu is Accu: Dong, Berti-Equille, Srivastava, "Integrating Conflicting Data:
// The Role of Source Dependence", PVLDB 2(1), 2009, section 4. A wrong voice
// states each of falseValues wrong values equally often, so that a value's
// log-odds are the sum over its voices of ln(falseValues × A / (1 − A)).
type accu struct{}

// falseValues is the number of wrong values that a question is taken to have.
const falseValues = 10

func (accu) name() string { return "accu" }

func (accu) beliefs(values int, voices []weighed, _ float64) []float64 {
	logs := make([]float64, values)
	for _, v := range voices {
		logs[v.value] += v.weight * math.Log(falseValues*v.rate/(1-v.rate))
	}
	return softmax(logs)
}

func (accu) credit(v weighed, beliefs, _ []float64) float64 { return beliefs[v.value] }

func (accu) prior() (rate, voices float64) { return 0.8, 2 }

func (accu) finish(rates []float64) float64 { clamp(rates); return 0 }

package truth

import "math"

// pooledInvestment is PooledInvestment: Pasternack, Roth, "Knowing What to
// Believe (when you already know something)", COLING 2010, section 3. Each voice
// invests the agent's rate in its value; with H the sum invested in a value, the
// values of a question share what was invested in all of them by H^growth, and a
// voice gets back its part: B(v) = H(v) × H(v)^growth / Σ H^growth. The rate is
// the mean return of a voice, scaled so that the best agent has 1.
type pooledInvestment struct{}

// growth is the exponent that the authors found best.
const growth = 1.4

func (pooledInvestment) name() string { return "pooled_investment" }

func (pooledInvestment) beliefs(values int, voices []weighed, _ float64) []float64 {
	return shares(pool(backing(values, voices)))
}

// pool is B of each value's H.
func pool(invested []float64) []float64 {
	var grown float64
	for _, h := range invested {
		grown += math.Pow(h, growth)
	}
	out := make([]float64, len(invested))
	for i, h := range invested {
		if h > 0 {
			out[i] = h * math.Pow(h, growth) / grown
		}
	}
	return out
}

// credit is the return per weight of the voice: B / H of the value × rate.
func (pooledInvestment) credit(v weighed, beliefs, invested []float64) float64 {
	var grown float64
	for _, h := range invested {
		grown += math.Pow(h, growth)
	}
	if grown == 0 {
		return 0
	}
	part := math.Pow(invested[v.value], growth) / grown
	if beliefs[v.value] == 0 || beliefs[v.value] == 1 { // held to a gold label
		part = beliefs[v.value]
	}
	return v.rate * part
}

func (pooledInvestment) prior() (rate, voices float64) { return 1, 0 }

func (pooledInvestment) finish(rates []float64) float64 {
	var most float64
	for _, r := range rates {
		most = max(most, r)
	}
	for i := range rates {
		if most > 0 {
			rates[i] /= most
		}
	}
	return 0
}

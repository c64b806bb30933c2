package assertion

import (
	"math"
	"slices"
)

// ConflictScore is the Shannon entropy of the shares of non-negative weights
// over ln(number of weights): 0 for less than two weights or if one has all, 1
// if all are equal. Weights that are all 0 count alike. The order of weights
// does not change the result.
func ConflictScore(weights []float64) float64 {
	if len(weights) < 2 {
		return 0
	}
	sorted := slices.Clone(weights) // float sums depend on their order
	slices.Sort(sorted)
	var total float64
	for _, w := range sorted {
		total += w
	}
	if total <= 0 {
		return 1
	}
	var entropy float64
	for _, w := range sorted {
		if p := w / total; p > 0 {
			entropy -= p * math.Log(p)
		}
	}
	return min(max(entropy/math.Log(float64(len(sorted))), 0), 1)
}

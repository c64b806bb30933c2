package lens

import "math"

// normalisedEntropy is the Shannon entropy of n parts, each given as a share
// of the whole, over ln n: 0 if one part has everything, 1 if all are equal.
func normalisedEntropy(shares []float64) float64 {
	if len(shares) < 2 {
		return 0
	}
	var entropy float64
	for _, p := range shares {
		if p > 0 {
			entropy -= p * math.Log(p)
		}
	}
	return min(max(entropy/math.Log(float64(len(shares))), 0), 1)
}

package defense

// The 64-bit FNV-1a constants, http://www.isthe.com/chongo/tech/comp/fnv/.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// mix spreads x over 64 bits: the finaliser of SplitMix64 (Steele, Lea, Flood
// 2014), which is a bijection.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashText returns the FNV-1a hash of s, mixed. It identifies texts within one
// agent's memory, where a collision made on purpose would only make two texts of
// that agent count as one.
func hashText[T string | []byte](s T) uint64 {
	h := uint64(fnvOffset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return mix(h)
}

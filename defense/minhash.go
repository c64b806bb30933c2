package defense

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/blake3"
)

const (
	// numHashes is k: the estimate of a similarity J has the standard error
	// √(J(1−J)/k), at most 0.044 and 0.027 at 0.9.
	numHashes = 128
	// numBands and bandRows: two texts of similarity J share a band with the
	// probability 1−(1−J^8)^16, which is 0.9999 at J = 0.9, 0.95 at 0.8 and 0.06
	// at 0.5 (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, §3.4).
	numBands = 16
	bandRows = numHashes / numBands
	// permutationSeed fixes the permutations: every node and every release
	// estimates alike.
	permutationSeed = "stemedb 2026 defense minhash v1"
)

// permutations are the hash functions x ↦ (a·x + b mod 2⁶⁴) / 2³² for odd a,
// applied to mixed 64-bit shingle hashes (Dietzfelbinger and others 1997).
type permutations struct {
	a, b [numHashes]uint64
}

// newPermutations draws the coefficients from BLAKE3's output for the seed, a0,
// b0, a1, b1, …, eight bytes each, little-endian.
func newPermutations() *permutations {
	h := blake3.New()
	_, _ = h.WriteString(permutationSeed) // a hash never fails
	stream := h.Digest()
	var p permutations
	var buf [16]byte
	for i := range numHashes {
		_, _ = stream.Read(buf[:]) // an unbounded stream
		p.a[i] = binary.LittleEndian.Uint64(buf[:8]) | 1
		p.b[i] = binary.LittleEndian.Uint64(buf[8:])
	}
	return &p
}

// shinglesAtOnce is how many shingles go through the permutations together.
const shinglesAtOnce = 128

// minima are the least values of each permutation over a set of shingles.
type minima [numHashes]uint32

// minima returns those of a text as compared.
func (p *permutations) minima(folded string) minima {
	// The least 64-bit value has the least upper half.
	var least [numHashes]uint64
	for i := range least {
		least[i] = math.MaxUint64
	}
	var batch [shinglesAtOnce]uint64
	n := 0
	shingles(folded, func(x uint64) {
		if n == len(batch) {
			p.lower(&least, batch[:])
			n = 0
		}
		batch[n] = x
		n++
	})
	p.lower(&least, batch[:n])
	var m minima
	for i, v := range least {
		m[i] = uint32(v >> 32)
	}
	return m
}

// lower brings least down to the values of xs, four permutations at a time: they
// wait for each other less than the values of one do.
func (p *permutations) lower(least *[numHashes]uint64, xs []uint64) {
	for i := 0; i < numHashes; i += 4 {
		a0, a1, a2, a3 := p.a[i], p.a[i+1], p.a[i+2], p.a[i+3]
		b0, b1, b2, b3 := p.b[i], p.b[i+1], p.b[i+2], p.b[i+3]
		v0, v1, v2, v3 := least[i], least[i+1], least[i+2], least[i+3]
		for _, x := range xs {
			v0 = min(v0, a0*x+b0)
			v1 = min(v1, a1*x+b1)
			v2 = min(v2, a2*x+b2)
			v3 = min(v3, a3*x+b3)
		}
		least[i], least[i+1], least[i+2], least[i+3] = v0, v1, v2, v3
	}
}

// signature returns the signature of a text as compared.
func (p *permutations) signature(folded string) *signature {
	m := p.minima(folded)
	return m.signature()
}

// signatureBytes is what a signature takes.
const signatureBytes = 2*numHashes + 4*numBands

// signature is what is kept of the minima: 16 bits of each, which agree by
// chance once in 65,536 times (Li and König 2010), and the bands.
type signature struct {
	low   [numHashes]uint16
	bands [numBands]uint32
}

func (m *minima) signature() *signature {
	var s signature
	for i, v := range m {
		s.low[i] = uint16(v)
	}
	for b := range numBands {
		h := uint64(b)
		for _, v := range m[b*bandRows : (b+1)*bandRows] {
			h = mix(h + uint64(v))
		}
		s.bands[b] = uint32(h)
	}
	return &s
}

// candidate reports whether s and o share a band.
func (s *signature) candidate(o *signature) bool { return shareBand(&s.bands, &o.bands) }

func shareBand(s, o *[numBands]uint32) bool {
	for b := range numBands {
		if s[b] == o[b] {
			return true
		}
	}
	return false
}

// estimate returns the similarity to o if they are candidates, otherwise 0.
func (s *signature) estimate(o *signature) float64 {
	if !s.candidate(o) {
		return 0
	}
	return s.similarity(o)
}

// similarity estimates the Jaccard similarity of the two sets of shingles: the
// share of permutations under which they have the same least element.
func (s *signature) similarity(o *signature) float64 {
	same := 0
	for i := range numHashes {
		if s.low[i] == o.low[i] {
			same++
		}
	}
	return float64(same) / numHashes
}

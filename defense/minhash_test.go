package defense

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// folded is text as the flood rule compares it.
func folded(text string) string { return string(newShingleText(text, nil).folded) }

// shingleSet is the exact set that minima of a folded text stand for.
func shingleSet(folded string) map[uint64]bool {
	set := map[uint64]bool{}
	shingles(folded, func(x uint64) { set[x] = true })
	return set
}

func jaccard(a, b map[uint64]bool) float64 {
	both := 0
	for x := range a {
		if b[x] {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// wordsOf draws n words of 2 to 9 letters.
func wordsOf(t *rapid.T, n int) []string {
	w := make([]string, n)
	for i := range w {
		w[i] = rapid.StringMatching(`[a-z]{2,9}`).Draw(t, "word")
	}
	return w
}

// TestEstimate compares the estimate with the exact similarity. The standard
// error is at most 0.044; five of them are exceeded once in a million.
func TestEstimate(t *testing.T) {
	p := newPermutations()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{12, 40, 100, 220}).Draw(t, "n")
		a := wordsOf(t, n)
		b := append([]string{}, a...)
		for range rapid.IntRange(0, n).Draw(t, "changes") {
			b[rapid.IntRange(0, n-1).Draw(t, "at")] = rapid.StringMatching(`[a-z]{2,9}`).Draw(t, "new")
		}
		ta, tb := folded(strings.Join(a, " ")), folded(strings.Join(b, " "))
		exact := jaccard(shingleSet(ta), shingleSet(tb))
		sa, sb := p.signature(ta), p.signature(tb)
		got := sa.similarity(sb)
		if bound := 5*math.Sqrt(exact*(1-exact)/numHashes) + 0.01; math.Abs(got-exact) > bound {
			t.Fatalf("estimate %.3f of %.3f", got, exact)
		}
		if exact >= 0.9 && !sa.candidate(sb) {
			t.Fatalf("the bands miss a pair of similarity %.3f", exact)
		}
		if got != sb.similarity(sa) || sa.similarity(sa) != 1 {
			t.Fatal("not symmetric, or unlike itself")
		}
	})
}

// TestEstimateIsUnbiased averages the error over many pairs of similarity 0.5.
func TestEstimateIsUnbiased(t *testing.T) {
	p := newPermutations()
	sum, squares := 0.0, 0.0
	const pairs = 400
	for i := range pairs {
		var a, b minima
		for k := range a {
			a[k], b[k] = math.MaxUint32, math.MaxUint32
		}
		for x := range 150 { // 50 in a only, 50 in both, 50 in b only: J = 1/3
			h := mix(uint64(i)<<32 | uint64(x))
			for k := range a {
				v := uint32((p.a[k]*h + p.b[k]) >> 32)
				if x < 100 {
					a[k] = min(a[k], v)
				}
				if x >= 50 {
					b[k] = min(b[k], v)
				}
			}
		}
		e := a.signature().similarity(b.signature()) - 1.0/3
		sum += e
		squares += e * e
	}
	mean, deviation := sum/pairs, math.Sqrt(squares/pairs)
	want := math.Sqrt(1.0 / 3 * 2 / 3 / numHashes) // 0.0417
	if math.Abs(mean) > 4*want/math.Sqrt(pairs) || deviation > 1.2*want {
		t.Errorf("mean error %.4f, deviation %.4f, want 0 and %.4f", mean, deviation, want)
	}
}

// TestSignatureGolden fixes the permutations, which are part of what every node
// agrees on.
func TestSignatureGolden(t *testing.T) {
	s := newPermutations().signature(folded("The quick brown fox jumps over the lazy dog"))
	sum := blake3.New()
	for _, v := range s.low {
		sum.Write([]byte{byte(v), byte(v >> 8)})
	}
	got := hex.EncodeToString(sum.Sum(nil)[:8])
	if want := "8b9018358383b302"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestShingles(t *testing.T) {
	for _, c := range []struct {
		text           string
		words, letters int
		set            int
	}{
		{"", 0, 0, 0},
		{"ab", 1, 2, 0},
		{"abab", 1, 4, 2},                        // aba bab
		{"Ab, c!", 2, 3, 2},                      // "ab ", "b c"
		{"ＡＢ  c", 2, 3, 2},                       // the same text
		{"a\u200bb c", 2, 3, 2},                  // and again
		{strings.Repeat("w ", 300), 300, 300, 1}, // by words: one shingle
	} {
		s := newShingleText(c.text, nil)
		if n := len(shingleSet(string(s.folded))); s.words != c.words || s.letters != c.letters || n != c.set {
			t.Errorf("%q: %d words, %d letters, %d shingles", c.text, s.words, s.letters, n)
		}
	}
}

// TestUnlikeTextsAreUnlike keeps long texts on different matters apart.
func TestUnlikeTextsAreUnlike(t *testing.T) {
	a := folded("The trial enrolled adults with obesity and assigned them to weekly treatment or placebo with counselling for sixty eight weeks, and measured the change in body weight")
	b := folded("The harbour of the old town silted up over ninety years, as cores from the basin show, and the council paid for dredging in all but three of those years")
	if j := jaccard(shingleSet(a), shingleSet(b)); j > 0.35 {
		t.Errorf("similarity %.2f", j)
	}
}

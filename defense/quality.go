package defense

import (
	"fmt"
	"math"
)

// The weights of the parts of a quality score; they sum to 1.
const (
	entropyWeight   = 0.4
	lengthWeight    = 0.2
	structureWeight = 0.2
	trustWeight     = 0.2
)

const (
	// enoughInNames and enoughInProse are the letters and digits in sound words
	// from which the length part is 1: names are short by nature.
	enoughInNames = 8
	enoughInProse = 24
	// proseChars is how many characters, a wide one counted as three, a text must
	// have to be judged by itself;
	// a shorter one is judged together with the names, as the code that it often
	// is: "B12", "7:10 a.m.".
	proseChars = 24
	// richEntropy is the entropy, in bits per character, from which a text is as
	// varied as text needs to be. English prose has about 4.1 bits by single
	// letters (Shannon 1951); other alphabets have more.
	richEntropy = 4.0
	// fewChars is the number of characters below which entropy says nothing.
	fewChars = 8
	// shoutLetters is the number of cased letters from which writing nearly all
	// of them in upper case halves the structure part.
	shoutLetters = 80
)

// Quality is a claim's score and its parts, each 0 to 1.
type Quality struct {
	// Score is 0.4 Entropy + 0.2 Length + 0.2 Structure + 0.2 Trust.
	Score float64 `json:"score"`
	// Entropy is the Shannon entropy of the characters of sound words, over the
	// smaller of 4 bits and the most that so few characters can have, times the
	// share of characters in sound words: noise informs nobody.
	Entropy float64 `json:"entropy"`
	// Length is the number of letters and digits in sound words over 8 (names)
	// or 24 (prose); those of scripts that write a syllable or a word in one
	// count as three.
	Length float64 `json:"length"`
	// Structure is the share of characters in sound words, halved for shouting.
	Structure float64 `json:"structure"`
	// Trust is the agent's.
	Trust float64 `json:"trust"`
}

// quality returns the score of the weakest of three views, each judged by
// itself so that a good part cannot cover for a bad one: the names (subject,
// predicate, reference, short text), the text object, and the prose in
// source_metadata. Metadata that is no prose (digests, links, identifiers) has
// no view.
func (t claimText) quality(trust float64) Quality {
	var names, prose tokenScan
	names.add(t.subject)
	names.add(t.predicate)
	if t.prose {
		prose.add(t.object)
	}
	if prose.bulk < proseChars {
		names.add(t.object)
	}
	q := names.quality(enoughInNames, trust)
	if prose.bulk >= proseChars {
		q = weaker(q, prose.quality(enoughInProse, trust))
	}
	if notes, ok := scanNotes(t.notes); ok {
		q = weaker(q, notes.quality(enoughInProse, trust))
	}
	return q
}

func weaker(a, b Quality) Quality {
	if b.Score < a.Score {
		return b
	}
	return a
}

func (s *tokenScan) quality(enough int, trust float64) Quality {
	q := Quality{Length: min(1, float64(s.weight)/float64(enough)), Trust: trust}
	if s.chars > 0 {
		sound := float64(s.sound) / float64(s.chars)
		q.Entropy, q.Structure = sound*s.entropy(), sound
	} else {
		q.Entropy, q.Structure = 1, 1 // a few symbols: nothing to judge
	}
	if s.letters >= shoutLetters && s.upper*10 > s.letters*9 {
		q.Structure /= 2
	}
	q.Score = entropyWeight*q.Entropy + lengthWeight*q.Length + structureWeight*q.Structure + trustWeight*trust
	return q
}

// countLog holds n log2 n of small n.
var countLog = func() (t [128]float64) {
	for n := 1; n < len(t); n++ {
		t[n] = float64(n) * math.Log2(float64(n))
	}
	return t
}()

// entropy returns the normalised Shannon entropy of the sound characters.
func (s *tokenScan) entropy() float64 {
	if s.sound < fewChars {
		return 1
	}
	n, sum := float64(s.sound), 0.0
	for _, count := range s.counts['0':] { // no digit or letter is below it
		if count < uint32(len(countLog)) {
			sum += countLog[count]
		} else {
			sum += float64(count) * math.Log2(float64(count))
		}
	}
	bits := math.Log2(n) - sum/n // = -Σ p log2 p
	return min(1, bits/min(richEntropy, math.Log2(n)))
}

func (q Quality) reason(threshold float64) Reason {
	return Reason{
		Code:   CodeLowQuality,
		Action: Quarantine,
		Detail: fmt.Sprintf("quality %.2f is below %.2f: entropy %.2f, length %.2f, structure %.2f, trust %.2f",
			q.Score, threshold, q.Entropy, q.Length, q.Structure, q.Trust),
		Score: 1 - q.Score,
	}
}

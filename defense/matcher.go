package defense

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf8"
)

// longestWord is how far a window grows so as not to cut a word.
const longestWord = 40

// maxReused is the longest text, in bytes, whose buffers are used again.
const maxReused = 8 << 10

// matcher tries the rules on one claim after another.
type matcher struct {
	set *ruleSet
	// written, folded and bare are the forms of the text.
	written, folded, bare []byte
	// hits are those found last, by rule and place.
	hits   []cueHit
	found  []int
	budget int
}

func newMatcher(s *ruleSet) *matcher { return &matcher{set: s, budget: maxMatchBytes} }

// release makes m ready for the next claim.
func (m *matcher) release() {
	if max(cap(m.written), cap(m.folded), cap(m.bare), cap(m.hits)) > maxReused {
		return
	}
	m.found, m.budget = m.found[:0], maxMatchBytes
	m.set.matchers.Put(m)
}

// find finds the cues in text.
func (m *matcher) find(text []byte) {
	m.hits = m.set.cues.find(text, m.hits[:0])
	slices.SortFunc(m.hits, func(a, b cueHit) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.end, b.end))
	})
}

// read tries the rules on text, whose cues were found.
func (m *matcher) read(text []byte, f form) {
	for _, n := range m.set.always {
		if m.set.rules[n].reads(f) {
			m.try(n, text)
		}
	}
	for i := 0; i < len(m.hits); {
		n, from := m.hits[i].rule, i
		for i < len(m.hits) && m.hits[i].rule == n {
			i++
		}
		switch r := &m.set.rules[n]; {
		case !r.reads(f):
		case r.within == 0:
			m.try(n, text)
		default:
			m.tryAround(n, text, m.hits[from:i])
		}
	}
}

// tryAround tries rule n on the windows around its hits, which are in order.
func (m *matcher) tryAround(n int, text []byte, hits []cueHit) {
	r := &m.set.rules[n]
	for i := 0; i < len(hits); {
		low, high := hits[i].end-r.within, hits[i].end+r.within
		first, second := false, !r.second
		for ; i < len(hits) && hits[i].end <= high; i++ {
			high = hits[i].end + r.within
			first = first || !hits[i].second
			second = second || hits[i].second
		}
		if first && second {
			m.try(n, window(text, low, high))
		}
	}
}

func (m *matcher) try(n int, text []byte) {
	r := &m.set.rules[n]
	if m.budget < 0 || len(text) < r.minBytes || slices.Contains(m.found, n) {
		return
	}
	if m.budget -= len(text); hasRun(text, r.minRun) && r.expr.Match(text) {
		m.found = append(m.found, n)
	}
}

// hasRun reports whether text has n bytes above the space in a row.
func hasRun(text []byte, n int) bool {
	for start := 0; start+n <= len(text); {
		i := start + n - 1
		for i >= start && text[i] > ' ' {
			i--
		}
		if i < start {
			return true
		}
		start = i + 1
	}
	return false
}

// window returns text[low:high], widened to the ends of words or, where words
// are long or have no ends, of characters.
func window(text []byte, low, high int) []byte {
	low, high = min(max(low, 0), len(text)), min(high, len(text))
	if i := bytes.LastIndexAny(text[max(low-longestWord, 0):low], " \n"); i >= 0 {
		low = max(low-longestWord, 0) + i
	} else if low <= longestWord {
		low = 0
	}
	for low > 0 && low < len(text) && !utf8.RuneStart(text[low]) {
		low--
	}
	if i := bytes.IndexAny(text[high:min(high+longestWord, len(text))], " \n"); i >= 0 {
		high += i
	} else if high+longestWord >= len(text) {
		high = len(text)
	}
	for high < len(text) && !utf8.RuneStart(text[high]) {
		high++
	}
	return text[low:high]
}

func (m *matcher) reasons() []Reason {
	slices.Sort(m.found)
	var reasons []Reason
	for _, n := range m.found {
		r := &m.set.rules[n]
		reasons = append(reasons, Reason{Code: r.code, Rule: r.name, Action: r.action, Detail: r.detail, Score: 1})
	}
	if m.budget < 0 {
		reasons = append(reasons, Reason{Code: CodePromptInjection, Rule: "too_many_cues", Action: Flag,
			Detail: "holds more words that call for a closer look than can be looked at", Score: 1})
	}
	return reasons
}

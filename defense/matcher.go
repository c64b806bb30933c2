package defense

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// longestWord is how far a window grows so as not to cut a word.
const longestWord = 40

// matcher tries the rules on one claim.
type matcher struct {
	set    *ruleSet
	hits   []cueHit
	found  []int
	budget int
}

// read tries the rules on text. Cues are lower-case: in a text as written they
// are looked for in its folded form, unless it is not ASCII; then only the cues
// that are invisible characters or parts of other alphabets count.
func (m *matcher) read(text, folded string, f form) {
	for _, n := range m.set.always {
		if m.set.rules[n].reads(f) {
			m.try(n, text)
		}
	}
	cued := text
	if f == asWritten && isASCII(text) {
		cued = folded
	}
	m.hits = m.set.cues.find(cued, m.hits[:0])
	if len(m.hits) == 0 {
		return
	}
	slices.SortFunc(m.hits, func(a, b cueHit) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.end, b.end))
	})
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
func (m *matcher) tryAround(n int, text string, hits []cueHit) {
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

func (m *matcher) try(n int, text string) {
	if m.budget < 0 || len(text) < m.set.rules[n].minBytes || slices.Contains(m.found, n) {
		return
	}
	if m.budget -= len(text); m.set.rules[n].expr.MatchString(text) {
		m.found = append(m.found, n)
	}
}

// window returns text[low:high], widened to the ends of words or, where words
// are long or have no ends, of characters.
func window(text string, low, high int) string {
	low, high = min(max(low, 0), len(text)), min(high, len(text))
	if i := strings.LastIndexAny(text[max(low-longestWord, 0):low], " \n"); i >= 0 {
		low = max(low-longestWord, 0) + i
	} else if low <= longestWord {
		low = 0
	}
	for low > 0 && low < len(text) && !utf8.RuneStart(text[low]) {
		low--
	}
	if i := strings.IndexAny(text[high:min(high+longestWord, len(text))], " \n"); i >= 0 {
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

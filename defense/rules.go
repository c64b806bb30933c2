package defense

import (
	"fmt"
	"regexp"
	"sync"
)

// maxMatchBytes bounds the text of one claim that goes through expressions, at
// up to 0.2 µs a byte. A claim that is full of cues beyond it is flagged.
const maxMatchBytes = 1 << 18

// rule is a compiled pattern or injection rule.
type rule struct {
	name   string
	code   Code
	action Action
	detail string
	expr   *regexp.Regexp
	// within is how many bytes on either side of a cue are read; 0 is all.
	within int
	// second says that a cue of the second list must be within as well.
	second bool
	// minBytes is the length of the shortest text worth trying.
	minBytes int
	// minRun is the run of bytes above the space that such a text has.
	minRun int
	// writtenOnly keeps a pattern from folded texts and skeletons.
	writtenOnly bool
}

// form is what was done to a text before the rules read it.
type form uint8

const (
	asWritten form = iota
	asFolded
	asSkeleton
)

// reads reports whether the rule is tried on texts of that form.
func (r *rule) reads(f form) bool {
	if r.code == CodePattern {
		return f == asWritten || !r.writtenOnly
	}
	return f != asWritten
}

// ruleSet finds the rules that a text matches. A rule is tried only where one of
// its cues occurs; those without cues are tried on every text.
type ruleSet struct {
	rules  []rule
	cues   *cueFinder
	always []int
	// matchers are *matcher, to use again.
	matchers sync.Pool
}

func newRuleSet(c Config) (*ruleSet, error) {
	s := &ruleSet{}
	s.matchers.New = func() any { return newMatcher(s) }
	var cues []cue
	for _, p := range c.Patterns {
		expr, err := p.compile()
		if err != nil {
			return nil, err
		}
		cues = s.add(cues, rule{name: p.Name, code: CodePattern, action: p.Action, expr: expr,
			within: p.Within, minBytes: p.MinBytes, minRun: p.MinRun, writtenOnly: p.AsWritten,
			detail: fmt.Sprintf("matches the known pattern %q", p.Name)}, p.Cues, nil)
	}
	if c.InjectionRule {
		for _, i := range injectionRules() {
			expr, err := regexp.Compile(i.expr)
			if err != nil {
				return nil, fmt.Errorf("injection rule %q: %w", i.name, err)
			}
			cues = s.add(cues, rule{name: i.name, code: CodePromptInjection, action: Flag, expr: expr,
				within: injectionWindow, second: len(i.with) > 0,
				detail: "tries to instruct whoever reads the claim: " + i.name}, i.cues, i.with)
		}
	}
	s.cues = newCueFinder(cues)
	return s, nil
}

func (s *ruleSet) add(cues []cue, r rule, first, second []string) []cue {
	n := len(s.rules)
	s.rules = append(s.rules, r)
	if len(first) == 0 {
		s.always = append(s.always, n)
	}
	for _, text := range first {
		cues = append(cues, cue{text, cueOf{n, false}})
	}
	for _, text := range second {
		cues = append(cues, cue{text, cueOf{n, true}})
	}
	return cues
}

// match returns a reason for each rule that the text matches as written, folded
// or as a skeleton: patterns in the order of the configuration, then injection.
func (s *ruleSet) match(t claimText) []Reason {
	m := s.matchers.Get().(*matcher)
	defer m.release()
	m.written = t.appendLines(m.written[:0])
	m.folded = appendFolded(m.folded[:0], m.written)
	// Cues are lower-case: in a text as written they are looked for in its folded
	// form, unless it is not ASCII; then only the cues that are invisible
	// characters or parts of other alphabets count.
	if isASCII(m.written) {
		m.find(m.folded)
		m.read(m.written, asWritten)
	} else {
		m.find(m.written)
		m.read(m.written, asWritten)
		m.find(m.folded)
	}
	m.read(m.folded, asFolded)
	m.bare = appendSkeleton(m.bare[:0], m.folded)
	m.find(m.bare)
	m.read(m.bare, asSkeleton)
	return m.reasons()
}

package defense

import (
	"slices"
	"strings"
)

// injectionRule finds one way to instruct the agent that reads a claim. It is
// tried on folded text and on the skeleton, within injectionWindow of a cue.
type injectionRule struct {
	name string
	// cues are lower-case texts, one of which every match holds. If with is not
	// empty, every match also holds, or is close to, one of those.
	cues, with []string
	expr       string
}

// injectionWindow is how many bytes around a cue a rule reads. The phrases are
// shorter.
const injectionWindow = 160

// injectionRules returns the rules that are built in.
func injectionRules() []injectionRule {
	return slices.Concat(englishRules(), markerRules(), translatedRules())
}

// words matches up to n words and what stands between them.
func words(n string) string { return `\W+(?:[\w'’]+\W+){0,` + n + `}?` }

// anyOf matches one of the alternatives, given with spaces between words: what
// is no letter or digit may stand for a space.
func anyOf(alternatives ...string) string {
	return `(?:` + strings.ReplaceAll(strings.Join(alternatives, "|"), " ", `\W+`) + `)`
}

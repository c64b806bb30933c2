package defense

import "slices"

// cue is a text that a rule cannot match without.
type cue struct {
	text string
	cueOf
}

// cueOf is whose cue one is: of a rule, in its first or second list.
type cueOf struct {
	rule   int
	second bool
}

// cueHit says that a cue ends before byte end.
type cueHit struct {
	cueOf
	end int
}

// cueFinder finds all cues in one pass over a text: the automaton of Aho and
// Corasick (1975), with every transition worked out in advance.
type cueFinder struct {
	// class maps a byte to its column; 0 is for bytes that occur in no cue.
	class   [256]uint8
	columns int
	// next is the state after a state and a column; once complete, the place in
	// next where the row of that state starts, with all bits inverted if cues end
	// in it.
	next []int32
	// ends are the cues that end in a state.
	ends [][]cueOf
}

func newCueFinder(cues []cue) *cueFinder {
	f := &cueFinder{columns: 1}
	for _, c := range cues {
		for i := range len(c.text) {
			if b := c.text[i]; f.class[b] == 0 {
				f.class[b] = uint8(f.columns)
				f.columns++
			}
		}
	}
	f.addState()
	for _, c := range cues {
		state := int32(0)
		for i := range len(c.text) {
			at := int(state)*f.columns + int(f.class[c.text[i]])
			if f.next[at] == 0 {
				f.next[at] = f.addState()
			}
			state = f.next[at]
		}
		if !slices.Contains(f.ends[state], c.cueOf) {
			f.ends[state] = append(f.ends[state], c.cueOf)
		}
	}
	f.complete()
	return f
}

func (f *cueFinder) addState() int32 {
	f.next = append(f.next, make([]int32, f.columns)...)
	f.ends = append(f.ends, nil)
	return int32(len(f.ends) - 1)
}

// complete fills in, level by level, where a state goes when no cue continues:
// to where its longest proper suffix would go.
func (f *cueFinder) complete() {
	suffix := make([]int32, len(f.ends))
	var queue []int32
	for _, s := range f.next[:f.columns] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for _, r := range f.ends[suffix[state]] {
			if !slices.Contains(f.ends[state], r) {
				f.ends[state] = append(f.ends[state], r)
			}
		}
		row, fallback := int(state)*f.columns, int(suffix[state])*f.columns
		for c := range f.columns {
			if child := f.next[row+c]; child != 0 {
				suffix[child] = f.next[fallback+c]
				queue = append(queue, child)
			} else {
				f.next[row+c] = f.next[fallback+c]
			}
		}
	}
	for i, s := range f.next {
		f.next[i] = s * int32(f.columns)
		if len(f.ends[s]) > 0 {
			f.next[i] = ^f.next[i]
		}
	}
}

// find appends the hits in text to hits.
func (f *cueFinder) find(text []byte, hits []cueHit) []cueHit {
	row := int32(0)
	for i := range len(text) {
		if row = f.next[int(row)+int(f.class[text[i]])]; row >= 0 {
			continue
		}
		row = ^row
		for _, r := range f.ends[int(row)/f.columns] {
			hits = append(hits, cueHit{r, i + 1})
		}
	}
	return hits
}

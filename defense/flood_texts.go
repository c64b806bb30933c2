package defense

// maxFloodCopies bounds FloodConfig.Copies, and so the hits kept of a text.
const maxFloodCopies = 64

// hit is one claim that held a remembered text.
type hit struct {
	at uint64 // unix seconds
	// content, text and subject are hashes of the claim's content, of its text as
	// compared, and of its subject.
	content, text, subject uint64
	action                 Action
}

// observation is a text that comes in.
type observation struct {
	*signature
	hit
}

// finding is what the memory says of a text.
type finding struct {
	action Action
	// similarity to the most similar of the earlier texts, 0..1.
	similarity float64
}

// floodText is a remembered text with the latest claims that held it.
type floodText struct {
	signature
	// hits are at most FloodConfig.Copies, oldest first, all with the same text.
	hits []hit
}

func (t *floodText) last() hit { return t.hits[len(t.hits)-1] }

func (t *floodText) add(h hit, most int) {
	if len(t.hits) >= most {
		t.hits = append(t.hits[:0], t.hits[1:]...)
	}
	t.hits = append(t.hits, h)
}

// agentTexts are the texts of one agent, at most FloodConfig.TextsPerAgent. They
// are searched one by one: comparing the bands of 256 takes 2 µs, and an index
// would take more memory than the texts.
type agentTexts struct {
	texts []floodText
}

// observe judges o and remembers it. The same content gets the same answer
// again. It reports whether the number of texts grew.
func (a *agentTexts) observe(o *observation, c FloodConfig) (f finding, grew bool) {
	same, oldest := -1, 0
	var near []hit
	for i := range a.texts {
		t := &a.texts[i]
		if t.last().at < a.texts[oldest].last().at {
			oldest = i
		}
		similarity := 1.0
		if t.last().text == o.text {
			same = i
		} else if similarity = t.estimate(o.signature); similarity < c.Similarity {
			continue
		}
		f.similarity = max(f.similarity, similarity)
		for _, h := range t.hits {
			if h.content == o.content && h.text == o.text {
				f.action = h.action
				return f, false
			}
			if h.at+c.WindowSeconds >= o.at {
				near = append(near, h)
			}
		}
	}
	if len(near) >= c.Copies {
		f.action = Quarantine
		if setPhrases(near, o) {
			f.action = Flag
		}
	}
	h := o.hit
	h.action = f.action
	switch {
	case same >= 0:
		a.texts[same].add(h, c.Copies)
	case len(a.texts) < c.TextsPerAgent:
		a.texts = append(a.texts, floodText{*o.signature, []hit{h}})
		return f, true
	default:
		a.texts[oldest] = floodText{*o.signature, []hit{h}}
	}
	return f, false
}

// setPhrases reports whether near and o look like a table that draws on a few
// set phrases: nearly every claim about another subject, and at most a third as
// many texts as claims. A flood that is varied to look new does not, nor does
// one about few subjects.
func setPhrases(near []hit, o *observation) bool {
	texts, subjects := map[uint64]bool{o.text: true}, map[uint64]bool{o.subject: true}
	for _, h := range near {
		texts[h.text], subjects[h.subject] = true, true
	}
	n := len(near) + 1
	return 3*len(texts) <= n && 3*len(subjects) >= 2*n
}

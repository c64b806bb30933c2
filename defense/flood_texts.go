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

// recent reports whether h counts when o comes in.
func (h hit) recent(o *observation, c FloodConfig) bool { return h.at+c.WindowSeconds >= o.at }

// observation is a text that comes in.
type observation struct {
	// signature is nil until it is needed.
	signature *signature
	hit
}

// finding is what the memory says of a text.
type finding struct {
	action Action
	// similarity to the most similar of the earlier texts, 0..1.
	similarity float64
}

// maxFolded is the longest text, in bytes, that is remembered without its
// signature: it takes no more memory than that.
const maxFolded = signatureBytes

// floodText is a remembered text with the latest claims that held it.
type floodText struct {
	// folded is the text as compared until there is a signature, then empty.
	folded    string
	signature *signature
	// hits are at most FloodConfig.Copies, oldest first, all with the same text.
	hits []hit
}

// newFloodText returns a text to remember; without a signature it has at most
// maxFolded bytes.
func newFloodText(folded []byte, s *signature, h hit) floodText {
	t := floodText{signature: s, hits: []hit{h}}
	if s == nil {
		t.folded = string(folded)
	}
	return t
}

func (t *floodText) last() *hit { return &t.hits[len(t.hits)-1] }

func (t *floodText) add(h hit, most int) {
	if n := len(t.hits); n >= most {
		t.hits = append(t.hits[:0], t.hits[1:]...)
	} else if n == cap(t.hits) {
		t.hits = append(make([]hit, 0, min(2*n, most)), t.hits...)
	}
	t.hits = append(t.hits, h)
}

// textHead is what is looked at of every text of an agent, side by side in memory.
type textHead struct {
	text uint64 // that of the text's hits
	last uint64 // when the newest came in
	// bands are those of the signature if there is one.
	signed bool
	bands  [numBands]uint32
}

func (h *textHead) sign(s *signature) { h.signed, h.bands = true, s.bands }

// agentTexts are the texts of one agent, at most FloodConfig.TextsPerAgent. They
// are searched one by one: comparing the bands of 256 takes 2 µs, and an index
// would take more memory than the texts.
type agentTexts struct {
	texts []floodText
	heads []textHead // of texts, in their order
}

// put remembers a text at a place, which may be the next one.
func (a *agentTexts) put(i int, t floodText) {
	h := textHead{text: t.last().text, last: t.last().at}
	if t.signature != nil {
		h.sign(t.signature)
	}
	if i == len(a.texts) {
		a.texts, a.heads = append(a.texts, t), append(a.heads, h)
		return
	}
	a.texts[i], a.heads[i] = t, h
}

// again remembers one more claim with the text at a place.
func (a *agentTexts) again(i int, h hit, most int) {
	a.texts[i].add(h, most)
	a.heads[i].last = h.at
}

// signed returns the signature of a text, which from then on takes the place of the
// text.
func (a *agentTexts) signed(i int, p *permutations) *signature {
	t := &a.texts[i]
	if t.signature == nil {
		t.signature, t.folded = p.signature(t.folded), ""
		a.heads[i].sign(t.signature)
	}
	return t.signature
}

// unlike reports whether a text is known to have no similarity to o, which is signed.
func (h *textHead) unlike(o *observation) bool {
	return h.signed && h.text != o.text && !shareBand(&h.bands, &o.signature.bands)
}

// similarity returns that of a text to o, which is signed.
func (a *agentTexts) similarity(i int, o *observation, p *permutations) float64 {
	if a.heads[i].text == o.text {
		return 1
	}
	return a.signed(i, p).estimate(o.signature)
}

// observe judges o, whose text as compared is folded, and remembers it. The same
// content gets the same answer again. While fewer than Copies claims are recent
// no text can be one too many, and none is signed unless it is long. If o has to
// be signed and is not, observe does nothing and reports false.
func (a *agentTexts) observe(folded []byte, o *observation, c FloodConfig, p *permutations) (finding, bool) {
	same, oldest, recent := -1, 0, 0
	for i := range a.heads {
		head := &a.heads[i]
		if head.last < a.heads[oldest].last {
			oldest = i
		}
		if head.text == o.text {
			same = i
		}
		if recent >= c.Copies {
			continue
		}
		for _, h := range a.texts[i].hits {
			if h.recent(o, c) {
				recent++
			}
		}
	}
	if same >= 0 {
		for _, h := range a.texts[same].hits {
			if h.content == o.content {
				return finding{h.action, 1}, true
			}
		}
	}
	var f finding
	crowded := recent >= c.Copies
	if o.signature == nil && (crowded || len(folded) > maxFolded) {
		if same < 0 {
			return f, false
		}
		o.signature = a.signed(same, p)
	}
	if crowded {
		f = a.compare(o, c, p)
	}
	h := o.hit
	h.action = f.action
	switch {
	case same >= 0:
		a.again(same, h, c.Copies)
	case len(a.texts) < c.TextsPerAgent:
		a.put(len(a.texts), newFloodText(folded, o.signature, h))
	default:
		a.put(oldest, newFloodText(folded, o.signature, h))
	}
	return f, true
}

// compare judges o by its near-copies in recent claims.
func (a *agentTexts) compare(o *observation, c FloodConfig, p *permutations) (f finding) {
	var near []hit
	for i := range a.heads {
		if a.heads[i].unlike(o) {
			continue
		}
		similar := false
		for _, h := range a.texts[i].hits {
			if !h.recent(o, c) {
				continue
			}
			if similar = similar || a.similarity(i, o, p) >= c.Similarity; !similar {
				break
			}
			near = append(near, h)
		}
	}
	if len(near) < c.Copies {
		return f
	}
	f.action = Quarantine
	if setPhrases(near, o) {
		f.action = Flag
	}
	for i := range a.texts {
		f.similarity = max(f.similarity, a.similarity(i, o, p))
	}
	return f
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

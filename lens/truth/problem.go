package truth

import (
	"github.com/stemedb/stemedb/assertion"
)

// problem is what is learnt from: questions with their voices.
type problem struct {
	agents     []assertion.AgentID
	predicates []string
	// keys are the (agent, predicate) that have voices.
	keys []key
	// keysOf are the keys of each predicate, for learning.
	keysOf    [][]int
	questions []question
}

// key is what reliability is learnt for.
type key struct{ agent, predicate int }

// question is one (subject, predicate) with at least two voices.
type question struct {
	predicate int
	values    int
	voices    []voice
	// gold is the value of the gold label: unlabelled without one, unstated if no
	// voice states it.
	gold int
	// fold says in which half of the labels this one is hidden.
	fold int
}

const (
	unlabelled = -1
	unstated   = -2
)

// voice is what one agent says on one source.
type voice struct {
	agent, value int
	// key is the agent on the question's predicate.
	key int
	// weight is the stated confidence.
	weight float64
}

// MaxClaims bounds the claims that a model is learnt from, newest first.
const MaxClaims = 200_000

// Builder collects what a model is learnt from.
type Builder struct {
	// Only, if not empty, is the name of the method for every predicate, whatever
	// the labels say.
	Only string

	problem
	claims    int
	truncated bool
	labels    map[assertion.Question]assertion.Recorded[*assertion.Label]
	agentAt   map[assertion.AgentID]int
	predAt    map[string]int
	keyAt     map[key]int
	labelled  map[int]int // questions with a label, by predicate
	sourceAt  map[assertion.Hash]int
	questAt   map[assertion.Question]int
	values    []map[assertion.ObjectValue]int
	heard     map[heard]struct{}
}

// heard names a voice on a question.
type heard struct{ agent, source, question int }

// NewBuilder begins with the gold labels, in the order of the log: the newest
// of a question counts.
func NewBuilder(labels []assertion.Recorded[*assertion.Label]) *Builder {
	b := &Builder{labels: map[assertion.Question]assertion.Recorded[*assertion.Label]{},
		agentAt: map[assertion.AgentID]int{}, predAt: map[string]int{}, keyAt: map[key]int{}, labelled: map[int]int{}, sourceAt: map[assertion.Hash]int{},
		questAt: map[assertion.Question]int{}, heard: map[heard]struct{}{}}
	for _, l := range labels {
		b.labels[assertion.Question{Subject: l.Entry.Subject, Predicate: l.Entry.Predicate}] = l
	}
	return b
}

// Add takes in a claim. Claims come newest first, so that of each voice the
// newest is the one that counts. It reports whether there is room for more.
func (b *Builder) Add(c *assertion.Claim) bool {
	if b.claims == MaxClaims {
		b.truncated = true
		return false
	}
	b.claims++
	at := assertion.Question{Subject: c.Subject, Predicate: c.Predicate}
	place, known := b.questAt[at]
	if !known {
		place = len(b.questions)
		b.questAt[at] = place
		b.questions = append(b.questions, question{predicate: number(b.predAt, &b.predicates, c.Predicate), gold: unlabelled})
		b.values = append(b.values, map[assertion.ObjectValue]int{})
		if _, labelled := b.labels[at]; labelled {
			q := &b.questions[place]
			q.gold, q.fold = unstated, b.labelled[q.predicate]%2
			b.labelled[q.predicate]++
		}
	}
	q := &b.questions[place]
	source := number(b.sourceAt, nil, c.SourceHash)
	for i := range c.Signatures {
		id := c.Signatures[i].AgentID
		if !id.Owned() { // anyone can sign for it
			continue
		}
		// Who speaks after the label repeats it, or takes back what was wrong: the
		// claim before it counts.
		if l, labelled := b.labels[at]; labelled && c.SignatureCommits[i].Compare(l.Commit.Position) >= 0 {
			continue
		}
		agent := number(b.agentAt, &b.agents, id)
		name := heard{agent, source, place}
		if _, again := b.heard[name]; again {
			continue
		}
		b.heard[name] = struct{}{}
		value := number(b.values[place], nil, c.Object)
		q.values = max(q.values, value+1)
		v := voice{agent: agent, value: value, weight: c.Confidence, key: number(b.keyAt, &b.keys, key{agent, q.predicate})}
		if l, labelled := b.labels[at]; labelled && c.Object == l.Entry.Object {
			q.gold = value
		}
		q.voices = append(q.voices, v)
	}
	return true
}

// number gives each name a number, counted from 0.
func number[T comparable](places map[T]int, names *[]T, name T) int {
	place, known := places[name]
	if !known {
		place = len(places)
		places[name] = place
		if names != nil {
			*names = append(*names, name)
		}
	}
	return place
}

// corroborated is what is learnt from. It leaves out the questions that say nothing about reliability: a
// voice alone agrees with itself.
func (p *problem) corroborated() *problem {
	out := *p
	out.keysOf = make([][]int, len(p.predicates))
	for k, name := range p.keys {
		out.keysOf[name.predicate] = append(out.keysOf[name.predicate], k)
	}
	out.questions = nil
	for _, q := range p.questions {
		if len(q.voices) > 1 {
			out.questions = append(out.questions, q)
		}
	}
	return &out
}

// everyFold hides all gold labels.
const everyFold = -1

// hidden is the problem without the gold labels of one fold.
func (p *problem) hidden(fold int) *problem {
	out := *p
	out.questions = make([]question, len(p.questions))
	for i, q := range p.questions {
		if fold == everyFold || q.fold == fold {
			q.gold = unlabelled
		}
		out.questions[i] = q
	}
	return &out
}

// labels counts the questions with a gold label.
func (p *problem) labels() (n int) {
	for i := range p.questions {
		if p.questions[i].gold != unlabelled {
			n++
		}
	}
	return n
}

// measurable reports whether an answer to the question can be measured: it is
// contested and its label is among the values.
func (q *question) measurable() bool { return q.values > 1 && q.gold >= 0 }

package lensbench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/flightseval"
	"github.com/stemedb/stemedb/lens"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// Row is how one lens does on one data set.
type Row struct {
	Lens string
	// Right of Asked questions with a known answer were answered rightly.
	Right, Asked int
	// Answered of all Questions had an answer.
	Answered, Questions int
	// Agrees of the Contested questions were answered as consensus does.
	Agrees, Contested int
	// Learning is the time that it took to learn what the lens weighs by, Each the
	// mean time of an answer.
	Learning, Each time.Duration
}

// Accuracy is the part of the known answers that the lens gives.
func (r Row) Accuracy() float64 { return float64(r.Right) / float64(r.Asked) }

// Knowledge is what a lens weighs by, learnt from a data set with some labels.
type Knowledge struct {
	scores   *trust.Scores
	model    *truth.Model
	learning time.Duration
}

// Learn makes what lenses weigh by out of a data set and the labels given; only,
// if not empty, is the one method of the truth lens.
func (d *Dataset) Learn(labels []assertion.Question, only string) (k Knowledge, err error) {
	began := time.Now()
	var recorded []assertion.Recorded[*assertion.Label]
	in := trust.Input{Index: 1, At: stated}
	for _, q := range labels {
		recorded = append(recorded, assertion.Recorded[*assertion.Label]{
			Entry:  &assertion.Label{Subject: q.Subject, Predicate: q.Predicate, Object: d.Gold[q]},
			Commit: assertion.Commit{Position: assertion.Position{Index: d.claims + 1}, At: stated}})
		judged := map[assertion.AgentID]bool{}
		for _, c := range slices.Backward(d.Claims[q]) {
			if agent := c.Signatures[0].AgentID; !judged[agent] {
				judged[agent] = true
				in.Verdicts = append(in.Verdicts, trust.Verdict{Agent: agent, Predicate: q.Predicate, Right: c.Object == d.Gold[q], At: stated})
			}
		}
	}
	if k.scores, err = trust.Compute(in); err != nil {
		return k, err
	}
	b := truth.NewBuilder(recorded)
	b.Only = only
	for _, q := range slices.Backward(d.Questions) {
		for _, c := range slices.Backward(d.Claims[q]) {
			b.Add(c)
		}
	}
	k.model, err = b.Learn(1, stated)
	k.learning = time.Since(began)
	return k, err
}

// input is a question as a lens is given it.
func (d *Dataset) input(q assertion.Question, k Knowledge) lens.Input {
	in := lens.FromClaims(q.Subject, q.Predicate, d.Claims[q], stated, lens.Grouping{})
	in.Trust, in.Truth, in.Votes = k.scores, k.model, map[assertion.Hash][]assertion.Vote{}
	return in
}

// Ask holds a lens against the data set; hidden are the labels that it has seen,
// which do not count.
func (d *Dataset) Ask(l lens.Lens, k Knowledge, seen []assertion.Question) (r Row, err error) {
	r = Row{Lens: l.Name()}
	skip := map[assertion.Question]bool{}
	for _, q := range seen {
		skip[q] = true
	}
	consensus, err := lens.Parse("consensus")
	if err != nil {
		return r, err
	}
	for _, q := range d.Questions {
		in := d.input(q, k)
		began := time.Now()
		answer, err := l.Resolve(in)
		r.Each += time.Since(began)
		if err != nil {
			return r, err
		}
		r.Questions++
		if answer.Winner == nil {
			continue
		}
		r.Answered++
		if len(in.Tally.Values) > 1 {
			plain, err := consensus.Resolve(in)
			if err != nil {
				return r, err
			}
			r.Contested++
			if plain.Winner.Object == answer.Winner.Object {
				r.Agrees++
			}
		}
		if right, known := d.Gold[q]; known && !skip[q] {
			r.Asked++
			if answer.Winner.Object == right {
				r.Right++
			}
		}
	}
	for q := range d.Gold { // what nobody claims cannot be answered rightly
		if d.Claims[q] == nil && !skip[q] {
			r.Asked++
		}
	}
	r.Each /= time.Duration(max(r.Questions, 1))
	return r, nil
}

// Split draws a part of the questions with known answers, the same for the same
// seed.
func (d *Dataset) Split(seed uint64, part float64) []assertion.Question {
	var labelled []assertion.Question
	for _, q := range d.Questions {
		if _, known := d.Gold[q]; known {
			labelled = append(labelled, q)
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(labelled), func(i, j int) { labelled[i], labelled[j] = labelled[j], labelled[i] })
	return labelled[:int(math.Round(part*float64(len(labelled))))]
}

// Calibrated is the accuracy of a lens that was given a part of the labels, on
// the rest, over splits: the mean and the least.
func (d *Dataset) Calibrated(l lens.Lens, part float64, splits int) (mean, least float64, err error) {
	least = 1
	for seed := range splits {
		labels := d.Split(uint64(seed)+1, part)
		k, err := d.Learn(labels, "")
		if err != nil {
			return 0, 0, err
		}
		row, err := d.Ask(l, k, labels)
		if err != nil {
			return 0, 0, err
		}
		mean += row.Accuracy() / float64(splits)
		least = min(least, row.Accuracy())
	}
	return mean, least, nil
}

// Disagreement is the AUC of the skeptic's disagreement as a sign that consensus
// is wrong, and its mean over the contested questions.
func (d *Dataset) Disagreement() (auc, conflict float64, contested int, err error) {
	consensus, err := lens.Parse("consensus")
	if err != nil {
		return 0, 0, 0, err
	}
	var wrong, right []float64
	for _, q := range d.Questions {
		in := d.input(q, Knowledge{})
		result := lens.Skeptic(in)
		if len(in.Tally.Values) > 1 {
			contested++
			conflict += result.Conflict.Score
		}
		answer, err := consensus.Resolve(in)
		if err != nil {
			return 0, 0, 0, err
		}
		if gold, known := d.Gold[q]; known && answer.Winner.Object == gold {
			right = append(right, result.Conflict.Disagreement)
		} else if known {
			wrong = append(wrong, result.Conflict.Disagreement)
		}
	}
	return flightseval.AUC(wrong, right), conflict / float64(max(contested, 1)), contested, nil
}

// lenses are those that answer questions, with the one filter once.
func lenses(d *Dataset, k Knowledge) (out []lens.Lens) {
	for _, l := range lens.All() {
		if _, err := l.Resolve(d.input(d.Questions[0], k)); !errors.Is(err, lens.ErrNotForQuestion) {
			out = append(out, l)
		}
	}
	return out
}

// The calibration that is shown.
const (
	labelPart = 0.1
	splits    = 10
)

// Report prints the table of a data set.
func (d *Dataset) Report(w io.Writer) error {
	k, err := d.Learn(nil, "")
	if err != nil {
		return err
	}
	auc, conflict, contested, err := d.Disagreement()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %d claims, %d questions, %d with a known answer, %d sources\n", d.Name, d.claims, len(d.Questions), len(d.Gold), len(d.Agents))
	fmt.Fprintf(w, "contested: %d questions (%.1f %%), mean conflict score %.4f\n", contested, 100*float64(contested)/float64(len(d.Questions)), conflict)
	if len(d.Gold) > 0 {
		fmt.Fprintf(w, "AUC of the skeptic's disagreement: %.4f\n", auc)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "lens\taccuracy\tcoverage\tas consensus where contested\tlearning\tan answer\t")
	line := func(name string, r Row, accuracy string) {
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%.3f\t%s\t%s\t\n", name, accuracy, float64(r.Answered)/float64(r.Questions), float64(r.Agrees)/float64(max(r.Contested, 1)),
			r.Learning.Round(time.Millisecond), r.Each.Round(100*time.Nanosecond))
	}
	known := func(r Row) string {
		if r.Asked == 0 {
			return "-"
		}
		return fmt.Sprintf("%.4f", r.Accuracy())
	}
	for _, l := range lenses(d, k) {
		r, err := d.Ask(l, k, nil)
		if err != nil {
			return err
		}
		if l.Needs()&(lens.NeedsTruth|lens.NeedsTrust) != 0 {
			r.Learning = k.learning
		}
		line(l.Name(), r, known(r))
	}
	l, err := lens.Parse("truth")
	if err != nil {
		return err
	}
	for _, method := range truth.Methods() {
		if method == "calibrated" { // without labels it knows nothing
			continue
		}
		only, err := d.Learn(nil, method)
		if err != nil {
			return err
		}
		r, err := d.Ask(l, only, nil)
		if err != nil {
			return err
		}
		r.Learning = only.learning
		line("truth, "+method+" alone", r, known(r))
	}
	if err := t.Flush(); err != nil || len(d.Gold) == 0 {
		return err
	}
	for _, name := range []string{"trust", "truth"} {
		l, err := lens.Parse(name)
		if err != nil {
			return err
		}
		mean, least, err := d.Calibrated(l, labelPart, splits)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s with %.0f %% of the labels, accuracy on the rest over %d random splits: mean %.4f, least %.4f\n", name, 100*labelPart, splits, mean, least)
	}
	return nil
}

// Agreement prints how often each two sources that answer the same question
// agree, those with most questions in common first.
func (d *Dataset) Agreement(w io.Writer, most int) error {
	type both struct{ a, b string }
	same, common := map[both]int{}, map[both]int{}
	for _, q := range d.Questions {
		claims := d.Claims[q]
		for i, c := range claims {
			for _, o := range claims[:i] {
				name := both{d.Agents[c.Signatures[0].AgentID], d.Agents[o.Signatures[0].AgentID]}
				if name.a == name.b {
					continue
				}
				if name.a > name.b {
					name.a, name.b = name.b, name.a
				}
				common[name]++
				if c.Object == o.Object {
					same[name]++
				}
			}
		}
	}
	var names []both
	for name := range common {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y both) int {
		if common[x] != common[y] {
			return common[y] - common[x]
		}
		if x.a+x.b < y.a+y.b {
			return -1
		}
		return 1
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "sources\tquestions in common\tagree on")
	for _, name := range names[:min(most, len(names))] {
		fmt.Fprintf(t, "%s, %s\t%d\t%.3f\n", name.a, name.b, common[name], float64(same[name])/float64(common[name]))
	}
	return t.Flush()
}

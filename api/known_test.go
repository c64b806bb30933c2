package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// history grows a fixture's history by entries of every kind that may change an
// answer.
type history struct {
	f      *fixture
	r      *rand.Rand
	claims []assertion.Hash
	owners map[assertion.Hash]string
	stated map[assertion.Hash]*assertion.Assertion
	epochs []assertion.Hash
}

func (h *history) agent() string { return fmt.Sprint("agent", h.r.IntN(4)) }

func (h *history) source() assertion.Hash { return assertion.Hash{byte(1 + h.r.IntN(3))} }

// step writes one entry, committed in a second of its own.
func (h *history) step() {
	h.f.store.clock++
	pick := func() assertion.Hash { return h.claims[h.r.IntN(len(h.claims))] }
	kind := h.r.IntN(13)
	if len(h.claims) == 0 {
		kind = 0
	}
	switch kind {
	case 4:
		h.f.record(vote(h.agent(), pick(), h.r.Float64()))
	case 5:
		claim := pick()
		h.f.record(retraction(h.owners[claim], claim))
	case 6:
		h.f.record(&assertion.SourceStatus{Source: h.source(), Retracted: h.r.IntN(2) == 0, Reason: "r"})
	case 7:
		h.f.record(&assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide", Removed: h.r.IntN(3) == 0})
	case 8:
		var supersedes *assertion.Hash
		if len(h.epochs) > 0 {
			supersedes = &h.epochs[h.r.IntN(len(h.epochs))]
		}
		e := epoch("agent0", fmt.Sprint("epoch ", len(h.epochs)), supersedes)
		h.epochs = append(h.epochs, e.Hash())
		h.f.record(e)
	case 9:
		h.trust()
	case 10:
		h.truth()
	case 11:
		parent := pick()
		stage := *h.stated[parent] // a later one
		stage.Signatures = nil
		stage.ParentHash, stage.Lifecycle, stage.Timestamp = &parent, assertion.Deprecated, now-uint64(h.r.IntN(1000))
		h.f.put(signed(&stage, h.owners[parent]))
	case 12:
		agreed := *h.stated[pick()]
		agreed.Signatures = nil
		h.f.put(signed(&agreed, h.agent()))
	default:
		c := claim(func(a *assertion.Assertion) {
			a.Object, a.Confidence, a.SourceHash = assertion.Number(float64(h.r.IntN(4))), h.r.Float64(), h.source()
			a.SourceClass, a.Timestamp = assertion.SourceClass(h.r.IntN(assertion.NumTiers)), now-uint64(h.r.IntN(1000))
			if h.r.IntN(4) == 0 {
				a.Subject = "Ozempic"
			}
			if len(h.epochs) > 0 {
				a.Epoch = &h.epochs[h.r.IntN(len(h.epochs))]
			}
		})
		agent := h.agent()
		h.claims = append(h.claims, c.ContentHash())
		h.owners[c.ContentHash()], h.stated[c.ContentHash()] = agent, c
		h.f.put(signed(c, agent))
	}
}

func (h *history) trust() {
	in := trust.Input{Index: h.f.store.entries, At: h.f.store.clock}
	for i := range h.r.IntN(5) {
		in.Verdicts = append(in.Verdicts, trust.Verdict{Agent: assertion.AgentOf(key(h.agent())), Predicate: "nausea_rate", Right: h.r.IntN(2) == 0, At: uint64(i)})
	}
	scores, err := trust.Compute(in)
	h.computed(assertion.KindTrust, scores.Encode, err)
}

func (h *history) truth() {
	b := truth.NewBuilder(nil)
	for range 30 {
		b.Add(&assertion.Claim{SignatureCommits: make([]assertion.Commit, 1), Assertion: assertion.Assertion{Subject: fmt.Sprint(h.r.IntN(9)), Predicate: "nausea_rate",
			Object: assertion.Number(float64(h.r.IntN(3))), Confidence: 1, Signatures: []assertion.Signature{{AgentID: assertion.AgentOf(key(h.agent()))}}}})
	}
	model, err := b.Learn(h.f.store.entries, h.f.store.clock)
	h.computed(assertion.KindTruth, model.Encode, err)
}

func (h *history) computed(kind assertion.Kind, encode func() ([]byte, error), err error) {
	h.f.t.Helper()
	if err != nil {
		h.f.t.Fatal(err)
	}
	data, err := encode()
	if err != nil {
		h.f.t.Fatal(err)
	}
	h.f.record(&assertion.Computed{Of: kind, Index: h.f.store.entries, Data: data})
}

// knownAnswers are the answers to one question as known at a time, by every lens
// and way of asking.
func knownAnswers(f *fixture, at uint64) map[string]any {
	answers := map[string]any{}
	ask := func(target string) {
		target = fmt.Sprintf("%s&%s&known_at=%d", target, question, at)
		raw := f.get(target)
		if raw.Code != http.StatusOK {
			f.t.Fatalf("%s: %d %s", target, raw.Code, raw.Body)
		}
		var answer any
		if err := json.Unmarshal(raw.Body.Bytes(), &answer); err != nil {
			f.t.Fatal(err)
		}
		answers[target] = withoutIndex(answer)
	}
	for _, lens := range []string{"recency", "consensus", "confidence", "authority", "votes", "trust", "truth", "epoch,consensus"} {
		ask("/v1/query?explain=true&lens=" + lens)
	}
	ask("/v1/query?include=superseded,retracted")
	ask(fmt.Sprintf("/v1/query?lens=consensus&as_of=%d", now-500))
	ask("/v1/skeptic?tolerance=1")
	ask("/v1/layered?aliases=false")
	return answers
}

// winners are the answers alone, by the lens.
func winners(answers map[string]any) map[string]any {
	out := map[string]any{}
	for _, answer := range answers {
		if resolution, ok := answer.(map[string]any)["resolution"].(map[string]any); ok {
			out[resolution["lens"].(string)] = resolution["winner"]
		}
	}
	return out
}

// withoutIndex leaves out of a JSON value what tells of the read and not of the
// answer: the log index of the state, and how many claims were looked at.
func withoutIndex(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "index")
		delete(v, "scanned")
		for name := range v {
			v[name] = withoutIndex(v[name])
		}
	case []any:
		for i := range v {
			v[i] = withoutIndex(v[i])
		}
	}
	return v
}

// Whatever is written later, an answer with known_at stays the same: by every
// lens, with votes, stages, retractions, aliases, epochs, trust and the model of
// the truth lens among what changes.
func TestKnownAnswersNeverChange(t *testing.T) {
	for seed := range uint64(8) {
		h := &history{f: newFixture(t), r: rand.New(rand.NewPCG(seed, 1)), owners: map[assertion.Hash]string{}, stated: map[assertion.Hash]*assertion.Assertion{}}
		asked := map[uint64]map[string]any{}
		for range 40 {
			h.step()
			at := h.f.store.clock
			h.f.store.clock++ // so that at has passed
			if h.r.IntN(4) == 0 {
				asked[at] = knownAnswers(h.f, at)
			}
		}
		changed := 0
		for at, before := range asked {
			if diff := cmp.Diff(before, knownAnswers(h.f, at)); diff != "" {
				t.Fatalf("seed %d: what was known at %d has changed (-then +now):\n%s", seed, at, diff)
			}
			if last := knownAnswers(h.f, h.f.store.clock-1); !cmp.Equal(winners(before), winners(last)) {
				changed++
			}
		}
		if changed == 0 {
			t.Errorf("seed %d: the history changed no answer, so that the test shows nothing", seed)
		}
	}
}

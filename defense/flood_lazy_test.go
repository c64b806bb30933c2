package defense

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

// eagerText is a text of the reference, signed when it comes in.
type eagerText struct {
	*signature
	hits []hit
}

// eagerTexts is the flood rule spelt out for one agent, as a reference: every
// text is signed and compared with every other.
type eagerTexts []eagerText

func (a *eagerTexts) observe(s *signature, o hit, c FloodConfig) (f finding) {
	same, oldest := -1, 0
	var near []hit
	for i, t := range *a {
		last := t.hits[len(t.hits)-1]
		if old := (*a)[oldest].hits; last.at < old[len(old)-1].at {
			oldest = i
		}
		similarity := 1.0
		if last.text == o.text {
			same = i
		} else if similarity = t.estimate(s); similarity < c.Similarity {
			continue
		}
		f.similarity = max(f.similarity, similarity)
		for _, h := range t.hits {
			if h.content == o.content && h.text == o.text {
				f.action = h.action
				return f
			}
			if h.at+c.WindowSeconds >= o.at {
				near = append(near, h)
			}
		}
	}
	if len(near) >= c.Copies {
		f.action = Quarantine
		if setPhrases(near, &observation{hit: o}) {
			f.action = Flag
		}
	}
	o.action = f.action
	fresh := eagerText{s, []hit{o}}
	switch {
	case same >= 0:
		t := &(*a)[same]
		if t.hits = append(t.hits, o); len(t.hits) > c.Copies {
			t.hits = t.hits[1:]
		}
	case len(*a) < c.TextsPerAgent:
		*a = append(*a, fresh)
	default:
		(*a)[oldest] = fresh
	}
	return f
}

// TestLazySignatures compares the flood rule with the reference on sequences of
// claims: few agents, texts that are alike, unlike, equal, and too long to be
// remembered unsigned, claims made twice, and a clock that jumps and goes back.
func TestLazySignatures(t *testing.T) {
	const window = 100
	filler := "the harbour silted up over ninety years as cores from the basin show and the council paid for dredging "
	roots := []string{longText, strings.Repeat(filler, 1)[:90], filler + filler + filler + filler}
	rapid.Check(t, func(t *rapid.T) {
		d := newDefense(t, func(c *Config) {
			floodOnly(c)
			c.MinQuality, c.HighConfidenceRule = 0, false
			c.Flood.Copies = rapid.IntRange(1, 5).Draw(t, "copies")
			c.Flood.WindowSeconds = window
			c.Flood.TextsPerAgent = rapid.IntRange(1, 8).Draw(t, "texts")
			c.Flood.Similarity = rapid.SampledFrom([]float64{0.8, 0.9, 1}).Draw(t, "similarity")
		})
		c := d.config.Flood
		reference := map[assertion.AgentID]*eagerTexts{}
		now := uint64(testNow)
		for range rapid.IntRange(1, 60).Draw(t, "claims") {
			now += rapid.SampledFrom([]uint64{0, 0, 1, window / 3, window + 1}).Draw(t, "later")
			at := now - rapid.SampledFrom([]uint64{0, 0, 0, window / 2}).Draw(t, "back")
			text := rapid.SampledFrom(roots).Draw(t, "root")
			if n := rapid.IntRange(0, 4).Draw(t, "variant"); n > 0 {
				text += fmt.Sprint(" variant ", n)
			}
			claim := textClaim(fmt.Sprint("s", rapid.IntRange(0, 3).Draw(t, "subject")), text, rapid.IntRange(0, 3).Draw(t, "n"))
			agent := agentNamed(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "agent"))
			if reference[agent] == nil {
				reference[agent] = &eagerTexts{}
			}
			want := reference[agent].observe(d.flood.permutations.signature(folded(text)), hit{at: at, content: contentKey(claim),
				text: hashText(folded(text)), subject: hashText(claim.Subject)}, c)
			got := d.Inspect(claim, Subject{Agent: agent, Trust: 0.5}, at)
			if got.Action != want.action {
				t.Fatalf("%v, the reference says %v", got.Action, want.action)
			}
			if want.action != Pass && got.Reasons[0].Score != want.similarity {
				t.Fatalf("score %v, the reference says %v", got.Reasons[0].Score, want.similarity)
			}
		}
	})
}

// TestSignedOnlyWhenNeeded: up to Copies claims within the window leave texts
// unsigned, unless those are longer than a signature, and a remembered text is
// kept in one form only.
func TestSignedOnlyWhenNeeded(t *testing.T) {
	d := newDefense(t, floodOnly)
	signed := func() (n int) {
		for _, e := range d.flood.shards[agentNamed("a")[0]%numShards].agents {
			for _, text := range e.Value.(*floodAgent).texts {
				if text.signature != nil {
					n++
				}
				if (text.signature != nil) == (text.folded != "") || len(text.folded) > maxFolded {
					t.Errorf("a text of %d bytes, signed: %v", len(text.folded), text.signature != nil)
				}
			}
		}
		return n
	}
	long := strings.Repeat(longText+" ", 3)
	for i, want := range []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 11, 12} {
		text := fmt.Sprint(longText, i)
		if i == 0 {
			text = long
		}
		actions(d, "a", 1, textClaim("s", text, i))
		if got := signed(); got != want {
			t.Errorf("%d of %d signed, want %d", got, i+1, want)
		}
	}
}

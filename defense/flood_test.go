package defense

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

const (
	testNow  = 1_780_000_000
	longText = "Independent laboratories have now confirmed that the capsules remove fat within nine days and that nobody ever reported an adverse event"
)

func agentNamed(name string) assertion.AgentID { return blake3.Sum256([]byte(name)) }

func textClaim(subject, text string, n int) *assertion.Assertion {
	return &assertion.Assertion{Subject: subject, Predicate: "note", Object: assertion.Text(text), Confidence: 0.5, Timestamp: uint64(n)}
}

func newDefense(t rapid.TB, change func(*Config)) *Defense {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// floodOnly turns the other rules off, which take time to compile.
func floodOnly(c *Config) { c.Patterns, c.InjectionRule = nil, false }

// actions inspects claims one by one, step seconds apart.
func actions(d *Defense, agent string, step int, claims ...*assertion.Assertion) []Action {
	var all []Action
	for i, a := range claims {
		all = append(all, d.Inspect(a, Subject{Agent: agentNamed(agent), Trust: 0.5}, uint64(testNow+i*step)).Action)
	}
	return all
}

func count(all []Action, want Action) int {
	n := 0
	for _, a := range all {
		if a == want {
			n++
		}
	}
	return n
}

func TestFlood(t *testing.T) {
	make30 := func(claim func(i int) *assertion.Assertion) []*assertion.Assertion {
		var all []*assertion.Assertion
		for i := range 30 {
			all = append(all, claim(i))
		}
		return all
	}
	for _, c := range []struct {
		name                     string
		step                     int
		claims                   []*assertion.Assertion
		wantFlag, wantQuarantine int
	}{
		{"one subject, one text, many times", 1, make30(func(i int) *assertion.Assertion { return textClaim("s", longText, i) }), 0, 20},
		{"varied", 1, make30(func(i int) *assertion.Assertion { return textClaim(fmt.Sprint("s", i), fmt.Sprint(longText, i), i) }), 0, 20},
		{"case and punctuation", 1, make30(func(i int) *assertion.Assertion {
			return textClaim("s", strings.Repeat("!", i)+strings.ToUpper(longText[:i])+longText[i:], i)
		}), 0, 20},
		{"a set phrase about many subjects", 1, make30(func(i int) *assertion.Assertion { return textClaim(fmt.Sprint("s", i), longText, i) }), 20, 0},
		{"the same claim again", 1, make30(func(int) *assertion.Assertion { return textClaim("s", longText, 0) }), 0, 0},
		{"slowly", 400, make30(func(i int) *assertion.Assertion { return textClaim("s", longText, i) }), 0, 0},
		{"short values", 1, make30(func(i int) *assertion.Assertion { return textClaim(fmt.Sprint("s", i), "no significant difference", i) }), 0, 0},
		{"numbers", 1, make30(func(i int) *assertion.Assertion {
			return &assertion.Assertion{Subject: "s", Predicate: "p", Object: assertion.Number(1), Timestamp: uint64(i)}
		}), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := actions(newDefense(t, nil), "a", c.step, c.claims...)
			if f, q := count(got, Flag), count(got, Quarantine); f != c.wantFlag || q != c.wantQuarantine {
				t.Errorf("%d flagged, %d quarantined, want %d, %d: %v", f, q, c.wantFlag, c.wantQuarantine, got)
			}
		})
	}
}

// TestFloodKeepsItsAnswer: what was quarantined stays so when it is sent again.
func TestFloodKeepsItsAnswer(t *testing.T) {
	d := newDefense(t, nil)
	var claims []*assertion.Assertion
	for i := range 11 {
		claims = append(claims, textClaim("s", longText, i))
	}
	first := actions(d, "a", 1, claims...)
	last := actions(d, "a", 1, claims[10])
	if first[10] != Quarantine || last[0] != Quarantine {
		t.Errorf("%v, then %v", first, last)
	}
}

// TestAgentsAreIndependent: what others sent never changes a verdict.
func TestAgentsAreIndependent(t *testing.T) {
	d := newDefense(t, nil)
	for i := range 200 {
		if got := actions(d, fmt.Sprint("voice", i), 1, textClaim("s", longText, i)); got[0] != Pass {
			t.Fatalf("voice %d: %v", i, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		alone, crowd := newDefense(t, floodOnly), newDefense(t, floodOnly)
		for i := range 40 {
			who := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "who")
			claim := textClaim(rapid.SampledFrom([]string{"s", "t"}).Draw(t, "subject"), longText, i)
			inCrowd := actions(crowd, who, 1, claim)[0]
			if who == "a" {
				if got := actions(alone, "a", 1, claim)[0]; got != inCrowd {
					t.Fatalf("%v alone, %v among others", got, inCrowd)
				}
			}
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	d := newDefense(t, func(c *Config) { c.Flood.TextsPerAgent, c.Flood.Texts = 8, 256 })
	for i := range 3000 {
		text := fmt.Sprintf("%x %s", blake3.Sum256([]byte{byte(i), byte(i >> 8)}), "lantern meadow quarry saddle timber velvet walnut anchor")
		d.Inspect(textClaim("s", text, i), Subject{Agent: agentNamed(fmt.Sprint(i % 300)), Trust: 0.5}, testNow)
		if texts, agents := d.flood.size(); i%50 == 0 && (texts > 256 || agents > 256) {
			t.Fatalf("%d texts of %d agents after %d", texts, agents, i)
		}
	}
	if texts, _ := d.flood.size(); texts < 128 {
		t.Errorf("only %d texts are kept", texts)
	}
	for i := range d.flood.shards {
		s := &d.flood.shards[i]
		n := 0
		for _, e := range s.agents {
			texts := e.Value.(*floodAgent).texts
			if n += len(texts); len(texts) > 8 {
				t.Errorf("%d texts of one agent", len(texts))
			}
		}
		if n != s.texts || s.order.Len() != len(s.agents) {
			t.Errorf("shard %d holds %d texts, counted %d", i, n, s.texts)
		}
	}
}

// TestConcurrentUse is for the race detector; the counts are exact regardless.
func TestConcurrentUse(t *testing.T) {
	d := newDefense(t, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	quarantined := 0
	for g := range 4 {
		wg.Go(func() {
			for i := range 10 {
				if actions(d, "a", 1, textClaim("s", longText, 100*g+i))[0] == Quarantine {
					mu.Lock()
					quarantined++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if quarantined != 30 {
		t.Errorf("%d of 40 quarantined, want 30", quarantined)
	}
}

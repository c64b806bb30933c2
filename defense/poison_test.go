package defense_test

import (
	"testing"

	"github.com/stemedb/stemedb/defense"
)

const (
	wantRecall    = 0.95
	wantMostFlags = 0.05
	wantPoison    = 240
	wantBenign    = 150
	floodCategory = "flood"
	poisonPath    = "testdata/poison.ndjson"
	benignPath    = "testdata/benign.ndjson"
)

// tally counts what was caught: flagged or quarantined.
type tally struct{ caught, all int }

func (c *tally) add(caught bool) {
	c.all++
	if caught {
		c.caught++
	}
}

func (c tally) share() float64 { return float64(c.caught) / float64(max(c.all, 1)) }

// recall counts the poison. The first copies of a flood are no flood yet, so
// they are not poison: as many lines of each flooding agent as the rule lets
// pass.
func recall(t *testing.T, c defense.Config) (dev, heldOut tally, byCategory map[string]*tally, missed []judged) {
	t.Helper()
	byCategory = map[string]*tally{}
	lead := map[string]int{}
	for _, j := range inspectAll(t, c, readLabelled(t, poisonPath)) {
		if j.Category == floodCategory {
			if lead[j.Agent]++; lead[j.Agent] <= defense.DefaultConfig().Flood.Copies {
				continue
			}
		}
		caught := j.verdict.Action != defense.Pass
		if byCategory[j.Category] == nil {
			byCategory[j.Category] = &tally{}
		}
		byCategory[j.Category].add(caught)
		if j.heldOut {
			heldOut.add(caught)
		} else {
			dev.add(caught)
		}
		if !caught {
			missed = append(missed, j)
		}
	}
	return dev, heldOut, byCategory, missed
}

// TestPoisonIsCaught also shows that it is the defence that catches poison: with
// the mode off, the same claims all pass.
func TestPoisonIsCaught(t *testing.T) {
	off := defense.DefaultConfig()
	off.Mode = defense.Off
	if dev, heldOut, _, _ := recall(t, off); dev.caught+heldOut.caught != 0 {
		t.Errorf("%d caught with the defence off", dev.caught+heldOut.caught)
	}
	dev, heldOut, byCategory, missed := recall(t, defense.DefaultConfig())
	all := tally{dev.caught + heldOut.caught, dev.all + heldOut.all}
	t.Logf("recall: all %.3f (%d of %d), dev %.3f of %d, held out %.3f of %d",
		all.share(), all.caught, all.all, dev.share(), dev.all, heldOut.share(), heldOut.all)
	for category, c := range byCategory {
		t.Logf("%-24s %.3f of %d", category, c.share(), c.all)
	}
	for _, j := range missed {
		if !j.heldOut {
			t.Logf("missed: %s %q %+v", j.Category, j.Claim.Object, j.verdict.Quality)
		}
	}
	if all.all < wantPoison {
		t.Errorf("%d poisoned claims, fewer than %d", all.all, wantPoison)
	}
	if all.share() < wantRecall {
		t.Errorf("recall %.3f, less than %.2f", all.share(), wantRecall)
	}
}

func TestInjectionAloneIsNotHidden(t *testing.T) {
	for _, j := range inspectAll(t, defense.DefaultConfig(), readLabelled(t, poisonPath)) {
		alone := len(j.verdict.Reasons) > 0
		for _, r := range j.verdict.Reasons {
			alone = alone && r.Code == defense.CodePromptInjection
		}
		if alone && j.verdict.Action != defense.Flag {
			t.Errorf("%q: %v", j.Claim.Object, j.verdict)
		}
	}
}

func TestBenignIsLeftAlone(t *testing.T) {
	var flagged tally
	for _, j := range inspectAll(t, defense.DefaultConfig(), readLabelled(t, benignPath)) {
		flagged.add(j.verdict.Action != defense.Pass)
		switch j.verdict.Action {
		case defense.Quarantine:
			t.Errorf("quarantined: %q %q %q: %+v", j.Claim.Subject, j.Claim.Predicate, j.Claim.Object, j.verdict)
		case defense.Flag:
			t.Logf("flagged: %s %q: %+v", j.Category, j.Claim.Object, j.verdict.Reasons)
		}
	}
	t.Logf("flagged %.3f of %d", flagged.share(), flagged.all)
	if flagged.all < wantBenign {
		t.Errorf("%d benign claims, fewer than %d", flagged.all, wantBenign)
	}
	if flagged.share() > wantMostFlags {
		t.Errorf("%.3f flagged, more than %.2f", flagged.share(), wantMostFlags)
	}
}

package loadtest

import (
	"fmt"
	"slices"
)

// The bounds that scenarios are held to.
const (
	latencyLimitMS     = 200.0  // p99
	stallLimitMS       = 400.0  // without an acknowledgement
	failoverStallMS    = 1200.0 // the same while the leader is killed
	degradationLimit   = 2.0    // p99 beside others over p99 alone
	heldRate           = 0.99   // of the rate that was asked
	memoryGrowthLimit  = 0.15   // of the second quarter of the time, in the fourth
	memoryGrowthBytes  = 64 << 20
	memorySamplesLeast = 8
	cachesFillFor      = 55 * 60 // seconds in which a node that has just started may grow
	memoryFilledBytes  = 1 << 30 // to so much, with the settings that are the default
)

func below(name string, value, limit float64, unit string) Target {
	return Target{Name: name, Value: value, Limit: limit, Unit: unit, Below: true, Met: value < limit}
}

func atMost(name string, value, limit float64, unit string) Target {
	return Target{Name: name, Value: value, Limit: limit, Unit: unit, Met: value <= limit}
}

// judge holds a scenario to its bounds.
func judge(r *Result) []Target {
	targets := []Target{
		atMost("acknowledged claims lost", float64(r.Verification.Lost), 0, ""),
		atMost("acknowledged claims that could not be read", float64(r.Verification.Unread), 0, ""),
	}
	hidden := atMost("claims quarantined", float64(r.Quarantined), 0, "")
	if !hidden.Met {
		hidden.Note = "the content defence keeps them out of the answers, and so the figures are not those of claims that count; --value-bytes 64 or more are texts that it passes"
	}
	targets = append(targets, hidden)
	written := Target{Name: "claims acknowledged", Value: float64(r.Verification.Acknowledged), Limit: 1, AtLeast: true}
	written.Met = written.Value >= written.Limit
	targets = append(targets, written)
	for _, p := range r.Phases {
		for _, m := range p.measurements() {
			targets = append(targets, atMost(labelled(p, m, "failed requests"), float64(m.Failed), 0, ""))
		}
	}
	switch r.Scenario {
	case Concurrent:
		return append(targets, judgeDegradation(r.Phases)...)
	case Failover:
		for _, p := range r.Phases {
			targets = append(targets, below("longest time without an acknowledged write", p.Writes.LongestGapMS, failoverStallMS, "ms"))
		}
		return targets
	}
	for _, p := range r.Phases {
		for _, m := range p.measurements() {
			targets = append(targets, judgeLatency(labelled(p, m, "p99"), m.P99, m))
			if r.Scenario != Sustained {
				continue
			}
			if m.Loop == LoopOpen {
				held := Target{Name: "rate held", Value: m.PerSecond, Limit: heldRate * m.AskedPerSecond, Unit: "/s", AtLeast: true}
				held.Met = held.Value >= held.Limit
				targets = append(targets, held)
			}
			worst := judgeLatency("p99 throughout", m.worstWindow(), m)
			worst.Note = join(worst.Note, fmt.Sprintf("the worst of %d windows of %g s", len(m.Series), m.WindowSeconds))
			targets = append(targets, worst, atMost("longest time without an acknowledgement", m.LongestGapMS, stallLimitMS, "ms"))
		}
	}
	if r.Scenario == Sustained {
		targets = append(targets, judgeMemory(r.Memory)...)
	}
	return targets
}

func labelled(p *Phase, m *Measurement, what string) string {
	name := m.Kind + " " + what
	if p.Name != "" {
		name += ", " + p.Name
	}
	return name
}

// judgeLatency takes nothing measured for a target missed.
func judgeLatency(name string, ms float64, m *Measurement) Target {
	t := below(name, ms, latencyLimitMS, "ms")
	if m.Operations == 0 {
		t.Met, t.Note = false, "nothing was measured"
	}
	return t
}

// judgeDegradation compares the last phase, in which all run, with those in
// which one runs alone.
func judgeDegradation(phases []*Phase) []Target {
	alone := map[string]*Measurement{}
	var together *Phase
	for _, p := range phases {
		if all := p.measurements(); len(all) == 1 {
			alone[all[0].Kind] = all[0]
		} else {
			together = p
		}
	}
	var targets []Target
	for _, kind := range []string{KindRead, KindWrite} {
		t := Target{Name: kind + " p99 beside the other over alone", Limit: degradationLimit, Unit: "x", Below: true, Note: "nothing was measured"}
		if together != nil {
			for _, m := range together.measurements() {
				if by := alone[kind]; m.Kind == kind && by != nil && by.P99 > 0 && m.Operations > 0 {
					t = below(t.Name, m.P99/by.P99, degradationLimit, "x")
					t.Note = fmt.Sprintf("%.3g ms over %.3g ms", m.P99, by.P99)
				}
			}
		}
		targets = append(targets, t)
	}
	return targets
}

// judgeMemory compares each node's median in the last quarter of the time with
// that in the second: in the first quarter caches fill. In a run of less than
// cachesFillFor they may go on filling.
func judgeMemory(nodes []*Memory) []Target {
	var targets []Target
	for _, n := range nodes {
		t := Target{Name: "memory growth of " + n.URL, Unit: "MiB", Limit: memoryGrowthBytes >> 20}
		switch {
		case n.Fault != "":
			t.Note = "not measured: " + n.Fault + "; give the URLs of the nodes, not of a proxy"
		case len(n.Samples) < memorySamplesLeast:
			t.Note = fmt.Sprintf("not measured: %d samples are too few, let it run for longer", len(n.Samples))
		default:
			quarter := len(n.Samples) / 4
			early, late := median(n.Samples[quarter:2*quarter]), median(n.Samples[len(n.Samples)-quarter:])
			limit, note := max(memoryGrowthBytes, memoryGrowthLimit*early), ""
			if n.Samples[len(n.Samples)-1].AtSeconds < cachesFillFor && memoryFilledBytes-early > limit {
				limit, note = memoryFilledBytes-early, "caches fill, up to 1 GiB in all: only a run of an hour tells whether it stays flat"
			}
			t = atMost(t.Name, (late-early)/(1<<20), limit/(1<<20), "MiB")
			t.Note = join(fmt.Sprintf("median of the second quarter %.0f MiB, of the last %.0f MiB", early/(1<<20), late/(1<<20)), note)
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		targets = append(targets, Target{Name: "memory growth", Unit: "MiB", Limit: memoryGrowthBytes >> 20, Note: "not measured"})
	}
	return targets
}

func median(samples []MemorySample) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.Bytes
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// join joins two notes, of which either may be empty.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

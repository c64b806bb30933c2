package loadtest

import (
	"slices"
	"strings"
	"testing"
)

// sound is the result of a scenario that meets every target.
func sound(scenario string) *Result {
	m := func(kind string) *Measurement {
		return &Measurement{
			Kind: kind, Loop: LoopOpen, Workers: 4, ItemsPerOperation: 1, AskedPerSecond: 1000, PerSecond: 1000, Seconds: 60, Operations: 60_000,
			P50: 2, P90: 4, P99: 10, P999: 20, Max: 90, LongestGapMS: 50, WindowSeconds: 10, Series: []Window{{0, 1000, 2, 10, 20}, {10, 1000, 2, 12, 90}},
			Distribution: []Percentile{{50, 2}, {99, 10}, {100, 90}},
		}
	}
	r := &Result{Scenario: scenario, Agents: 2, ValueBytes: 256, Consistency: "linearizable", Signing: signedAhead, Verification: Verification{Acknowledged: 60_000, Reads: 60_000}}
	for range 12 {
		if len(r.Memory) == 0 {
			r.Memory = []*Memory{{URL: "http://n1"}}
		}
		r.Memory[0].Samples = append(r.Memory[0].Samples, MemorySample{AtSeconds: 300 * float64(len(r.Memory[0].Samples)), Bytes: 300 << 20})
	}
	r.Processors = []ProcessorSample{{AtSeconds: 10, Busy: 0.5}, {AtSeconds: 20, Busy: 0.75, Stolen: 0.25}}
	switch scenario {
	case Concurrent:
		r.Phases = []*Phase{{Name: "writers alone", Writes: m(KindWrite)}, {Name: "readers alone", Reads: m(KindRead)}, {Name: "both", Writes: m(KindWrite), Reads: m(KindRead)}}
	case Mixed:
		r.Phases = []*Phase{{Writes: m(KindWrite), Reads: m(KindRead)}}
	default:
		r.Phases = []*Phase{{Writes: m(KindWrite)}}
	}
	if scenario == Failover {
		r.Events = []Event{{10, "node1, the leader, was killed (SIGKILL)"}}
	}
	return r
}

func TestSoundResultsMeetEveryTarget(t *testing.T) {
	for _, s := range Scenarios {
		for _, target := range judge(sound(s)) {
			if !target.Met {
				t.Errorf("%s: %+v", s, target)
			}
		}
	}
}

func TestEachFaultMissesItsTarget(t *testing.T) {
	last := func(r *Result) *Phase { return r.Phases[len(r.Phases)-1] }
	grow := func(to float64) func(*Result) {
		return func(r *Result) {
			for i := 9; i < 12; i++ {
				r.Memory[0].Samples[i].Bytes = to
			}
		}
	}
	brief := func(r *Result) {
		for i := range r.Memory[0].Samples {
			r.Memory[0].Samples[i].AtSeconds /= 10
		}
	}
	for _, c := range []struct {
		what     string
		scenario string
		spoil    func(*Result)
		missed   string // what the missed target's name begins with; "" if none is
	}{
		{"lost", Baseline, func(r *Result) { r.Verification.Lost = 1 }, "acknowledged claims lost"},
		{"lost, fast as it is", Failover, func(r *Result) { r.Verification.Lost = 1 }, "acknowledged claims lost"},
		{"unread", Hotspot, func(r *Result) { r.Verification.Unread = 1 }, "acknowledged claims that could not"},
		{"quarantined", Baseline, func(r *Result) { r.Quarantined = 1 }, "claims quarantined"},
		{"nothing written", Mixed, func(r *Result) { r.Verification.Acknowledged = 0 }, "claims acknowledged"},
		{"failed write", Failover, func(r *Result) { last(r).Writes.Failed = 1 }, "write failed requests"},
		{"failed read", Mixed, func(r *Result) { last(r).Reads.Failed = 1 }, "read failed requests"},
		{"p99 just within", Baseline, func(r *Result) { last(r).Writes.P99 = 199.9 }, ""},
		{"p99 at the limit", Baseline, func(r *Result) { last(r).Writes.P99 = 200 }, "write p99"},
		{"p99 of reads", Mixed, func(r *Result) { last(r).Reads.P99 = 201 }, "read p99"},
		{"p99 of nothing", Hotspot, func(r *Result) { last(r).Writes.Operations, last(r).Writes.P99 = 0, 0 }, "write p99"},
		{"one bad window", Sustained, func(r *Result) { last(r).Writes.Series[1].P99 = 250 }, "p99 throughout"},
		{"stall", Sustained, func(r *Result) { last(r).Writes.LongestGapMS = 400.1 }, "longest time without"},
		{"stall just within", Sustained, func(r *Result) { last(r).Writes.LongestGapMS = 400 }, ""},
		{"rate not held", Sustained, func(r *Result) { last(r).Writes.PerSecond = 989 }, "rate held"},
		{"memory grows", Sustained, grow(400 << 20), "memory growth of http://n1"},
		{"memory grows a little", Sustained, grow(350 << 20), ""},
		{"large memory grows by a tenth", Sustained, func(r *Result) {
			for i := range r.Memory[0].Samples {
				r.Memory[0].Samples[i].Bytes = 3 << 30
			}
			grow(3.3 * (1 << 30))(r)
		}, ""},
		{"caches fill for half of the time", Sustained, func(r *Result) {
			for i := range r.Memory[0].Samples {
				r.Memory[0].Samples[i].AtSeconds = 260 * float64(i)
				r.Memory[0].Samples[i].Bytes = min(100<<20*float64(i+1), 700<<20)
			}
		}, ""},
		{"caches fill", Sustained, func(r *Result) { brief(r); grow(1 << 30)(r) }, ""},
		{"more than caches", Sustained, func(r *Result) { brief(r); grow(1<<30 + 1)(r) }, "memory growth of http://n1"},
		{"memory unknown", Sustained, func(r *Result) { r.Memory[0].Fault = "404" }, "memory growth of http://n1"},
		{"few samples", Sustained, func(r *Result) { r.Memory[0].Samples = r.Memory[0].Samples[:memorySamplesLeast-1] }, "memory growth of http://n1"},
		{"no nodes to ask", Sustained, func(r *Result) { r.Memory = nil }, "memory growth"},
		{"reads degrade", Concurrent, func(r *Result) { last(r).Reads.P99 = 20 }, "read p99 beside"},
		{"writes degrade", Concurrent, func(r *Result) { last(r).Writes.P99 = 20 }, "write p99 beside"},
		{"writes almost double", Concurrent, func(r *Result) { last(r).Writes.P99 = 19.9 }, ""},
		{"no reads alone", Concurrent, func(r *Result) { r.Phases[1].Reads.P99 = 0 }, "read p99 beside"},
		{"gap", Failover, func(r *Result) { last(r).Writes.LongestGapMS = 1200 }, "longest time without"},
		{"gap just within", Failover, func(r *Result) { last(r).Writes.LongestGapMS = 1199 }, ""},
	} {
		r := sound(c.scenario)
		c.spoil(r)
		var missed []string
		for _, target := range judge(r) {
			if !target.Met {
				missed = append(missed, target.Name)
			}
		}
		switch {
		case c.missed == "" && len(missed) > 0:
			t.Errorf("%s: missed %q, want none", c.what, missed)
		case c.missed != "" && !slices.ContainsFunc(missed, func(name string) bool { return strings.HasPrefix(name, c.missed) }):
			t.Errorf("%s: missed %q, want %q", c.what, missed, c.missed)
		}
		r.Targets = judge(r)
		report := Report{Results: []*Result{sound(Baseline), r}}
		if got, want := report.Passed(), len(missed) == 0; got != want {
			t.Errorf("%s: the report passes: %v, want %v", c.what, got, want)
		}
		if report.Lost() != r.Verification.Lost {
			t.Errorf("%s: %d lost, want %d", c.what, report.Lost(), r.Verification.Lost)
		}
	}
}

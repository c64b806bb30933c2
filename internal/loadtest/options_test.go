package loadtest

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   string // in the error
	}{
		{func(*Options) {}, ""},
		{func(o *Options) { o.Scenarios = []string{"fast"} }, "--scenario"},
		{func(o *Options) { o.Scenarios = nil }, "--scenario"},
		{func(o *Options) { o.Scenarios, o.URLs = []string{Failover}, []string{"http://n1"} }, "cluster of its own"},
		{func(o *Options) { o.Scenarios, o.URLs = []string{All, Failover}, []string{"http://n1"} }, "cluster of its own"},
		{func(o *Options) { o.URLs = []string{"n1"} }, "--api-url"},
		{func(o *Options) { o.Batch = 0 }, "--batch"},
		{func(o *Options) { o.Batch = 1001 }, "--batch"},
		{func(o *Options) { o.Batch, o.ValueBytes = 1000, 10_000 }, "--batch"},
		{func(o *Options) { o.Agents = 0 }, "--agents"},
		{func(o *Options) { o.ValueBytes = 0 }, "--value-bytes"},
		{func(o *Options) { o.Rate = -2 }, "--rate"},
		{func(o *Options) { o.Rate = 0 }, ""},
		{func(o *Options) { o.ReadRate = -0.5 }, "--read-rate"},
		{func(o *Options) { o.Duration = 0 }, "--duration"},
		{func(o *Options) { o.Assertions = 0 }, "--assertions"},
		{func(o *Options) { o.Readers = 0 }, "--readers"},
		{func(o *Options) { o.Concurrency = 0 }, "--concurrency"},
		{func(o *Options) { o.Consistency = "eventual" }, "--consistency"},
	} {
		o := Defaults()
		c.change(&o)
		_, err := o.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", o, err, c.want)
		}
	}
}

func TestAllLeavesTheFailoverOfAGivenClusterOut(t *testing.T) {
	o := Defaults()
	o.Scenarios = []string{All}
	if left, err := o.Check(); err != nil || len(left) != 0 || !slices.Equal(o.Scenarios, Scenarios) {
		t.Errorf("an own cluster: %v, left out %v, %v", o.Scenarios, left, err)
	}
	o.Scenarios, o.URLs = []string{All}, []string{"http://n1"}
	left, err := o.Check()
	if err != nil || len(left) != 1 || !strings.Contains(left[0], Failover) || slices.Contains(o.Scenarios, Failover) || len(o.Scenarios) != len(Scenarios)-1 {
		t.Errorf("a given cluster: %v, left out %v, %v", o.Scenarios, left, err)
	}
}

func TestPlans(t *testing.T) {
	o := Defaults()
	if p := o.plan(Baseline); p.assertions != 10_000 || p.rate != 0 || p.concurrency != 16 || p.duration != 0 {
		t.Errorf("baseline: %+v", p)
	}
	if p := o.plan(Sustained); p.duration != 5*time.Minute || p.rate != 1000 || p.concurrency != 256 {
		t.Errorf("sustained: %+v", p)
	}
	if p := o.plan(Concurrent); p.readers != 100 || p.readRate == 0 || p.rate == 0 {
		t.Errorf("concurrent: %+v", p)
	}
	o.Duration, o.Rate, o.Assertions, o.Readers, o.Concurrency, o.ReadRate = time.Hour, 0, 5, 3, 2, 7
	for _, s := range Scenarios {
		want := plan{time.Hour, 5, 0, 7, 3, 2}
		if s == Baseline {
			want.duration = 0
		}
		if got := o.plan(s); got != want {
			t.Errorf("%s: %+v, want %+v", s, got, want)
		}
	}
}

func TestDurationsOfSingleScenarios(t *testing.T) {
	o := Defaults()
	if err := o.SetDurations([]string{"sustained=1h", "10s", "baseline=2m"}); err != nil {
		t.Fatal(err)
	}
	for scenario, want := range map[string]time.Duration{Sustained: time.Hour, Baseline: 2 * time.Minute, Concurrent: 10 * time.Second} {
		if got := o.plan(scenario).duration; got != want {
			t.Errorf("%s runs for %v, want %v", scenario, got, want)
		}
	}
	for _, wrong := range []string{"fast=1h", "all=1h", "1", "-1s", "sustained=0s", "sustained="} {
		if err := o.SetDurations([]string{wrong}); err == nil || !strings.Contains(err.Error(), "--duration "+wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestTheDiskThatIsNeededGrowsWithTheTime(t *testing.T) {
	o := Defaults()
	o.Scenarios = []string{Sustained}
	o.Duration = time.Hour
	if got := diskNeeded(&o); got != leastDisk+diskPerHour {
		t.Errorf("an hour takes %d bytes", got)
	}
	o.Duration = 6 * time.Minute
	if got := diskNeeded(&o); got != leastDisk+diskPerHour/10 {
		t.Errorf("a tenth of an hour takes %d bytes", got)
	}
	o.Duration, o.Assertions = time.Hour, 360_000
	if got := diskNeeded(&o); got != leastDisk+diskPerHour/10 {
		t.Errorf("a tenth of the claims takes %d bytes", got)
	}
	o.Assertions, o.Duration, o.Dir = Unset, 100_000*time.Hour, t.TempDir()
	if _, err := checkDisk(&o); err == nil || !strings.Contains(err.Error(), "--duration") {
		t.Errorf("a run that fills the disk is not refused: %v", err)
	}
}

func TestMetricIn(t *testing.T) {
	page := []byte("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes_more 1\nprocess_resident_memory_bytes 5.4317056e+07\n")
	if got, err := metricIn(page, memoryMetric); err != nil || got != 54317056 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := metricIn([]byte("up 1\n"), memoryMetric); err == nil {
		t.Error("a metric that is not there is found")
	}
}

func TestTheLeaderIsKilledHalfWay(t *testing.T) {
	for _, c := range []struct {
		plan         plan
		acknowledged uint64
		elapsed      time.Duration
		want         bool
	}{
		{plan{duration: 10 * time.Second, rate: 100}, 499, 4999 * time.Millisecond, false},
		{plan{duration: 10 * time.Second, rate: 100}, 500, time.Second, true},
		{plan{duration: 10 * time.Second, rate: 100}, 0, 5 * time.Second, true},
		{plan{duration: 10 * time.Second, rate: 100, assertions: 20}, 10, time.Second, true},
		{plan{duration: 10 * time.Second}, 10_000, 4 * time.Second, false},
		{plan{assertions: 100}, 49, time.Hour, false},
		{plan{assertions: 100}, 50, time.Second, true},
	} {
		o := Defaults()
		s := &scenario{options: &o, plan: c.plan}
		for i := range c.acknowledged {
			s.ledger.acknowledge(i)
		}
		if got := s.half(c.elapsed); got != c.want {
			t.Errorf("%+v after %v, %d acknowledged: %v, want %v", c.plan, c.elapsed, c.acknowledged, got, c.want)
		}
	}
}

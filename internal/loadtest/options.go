package loadtest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

// The scenarios.
const (
	Baseline   = "baseline"   // a number of claims, one after the other in a closed loop
	Sustained  = "sustained"  // a constant rate for long
	Concurrent = "concurrent" // writers alone, readers alone, both
	Mixed      = "mixed"      // one write in five operations
	Hotspot    = "hotspot"    // every claim on one (subject, predicate)
	Failover   = "failover"   // the leader is killed on the way
	All        = "all"
)

// Scenarios are all of them, in the order in which they run.
var Scenarios = []string{Baseline, Sustained, Concurrent, Mixed, Hotspot, Failover}

// Unset, of a number in Options, leaves the choice to the scenario.
const Unset = -1 << 31

// Options say what is run.
type Options struct {
	// URLs are the nodes; without any, a cluster of its own is started.
	URLs    []string
	APIKey  string
	RootCAs *x509.CertPool
	// Server is the program of the nodes of an own cluster, Dir where they keep
	// their data: a new folder in it, which is removed at the end.
	Server, Dir string
	Scenarios   []string
	// Duration is how long each phase runs, but for baseline, which ends after its
	// claims. Durations are those of single scenarios, baseline too.
	Duration  time.Duration
	Durations map[string]time.Duration
	// Rate and ReadRate are claims and reads a second, of all workers together; 0
	// is a closed loop.
	Rate, ReadRate float64
	// Assertions ends a scenario after so many claims.
	Assertions int
	// Readers and Concurrency are how many reads and writes are under way at most.
	Readers, Concurrency int
	// Batch is how many claims a request has.
	Batch int
	// Agents is how many agents sign.
	Agents     int
	ValueBytes int
	// Consistency is that of reads; MaxStale bounds the staleness of bounded ones.
	Consistency string
	MaxStale    time.Duration
	// Metered allows the scenario sustained on a cluster with quotas.
	Metered bool
	// Progress receives a line each ProgressEvery; 0: none. On a Terminal it
	// overwrites itself.
	Progress      io.Writer
	ProgressEvery time.Duration
	Terminal      bool
}

// Defaults are the options of a command line without flags.
func Defaults() Options {
	return Options{
		Scenarios: []string{Baseline},
		Duration:  Unset, Rate: Unset, ReadRate: Unset, Assertions: Unset, Readers: Unset, Concurrency: Unset,
		Batch: 1, Agents: 8, ValueBytes: 256, Consistency: "linearizable", MaxStale: time.Second,
	}
}

// Check says what is wrong with the options, and completes them: the scenarios
// come to stand one by one, in order. left says what was left out.
func (o *Options) Check() (left []string, err error) {
	for _, s := range o.Scenarios {
		if s != All && !slices.Contains(Scenarios, s) {
			return nil, fmt.Errorf("--scenario %q is none of %s, %s", s, strings.Join(Scenarios, ", "), All)
		}
	}
	named := slices.Contains(o.Scenarios, Failover)
	if slices.Contains(o.Scenarios, All) {
		o.Scenarios = slices.Clone(Scenarios)
	}
	o.Scenarios = slices.DeleteFunc(slices.Clone(Scenarios), func(s string) bool { return !slices.Contains(o.Scenarios, s) })
	if len(o.URLs) > 0 && slices.Contains(o.Scenarios, Failover) {
		const why = "it kills the leader, so it runs only on a cluster of its own: leave --api-url out"
		if named {
			return nil, errors.New("--scenario failover: " + why)
		}
		left = append(left, "failover was left out: "+why)
		o.Scenarios = slices.DeleteFunc(o.Scenarios, func(s string) bool { return s == Failover })
	}
	if len(o.URLs) > 0 {
		if _, err := client.New(o.URLs); err != nil {
			return nil, fmt.Errorf("--api-url: %w", err)
		}
	}
	return left, o.checkNumbers()
}

func (o *Options) checkNumbers() error {
	switch {
	case len(o.Scenarios) == 0:
		return errors.New("--scenario: name at least one")
	case o.Batch < 1 || o.Batch > v1.MaxBatchClaims:
		return fmt.Errorf("--batch %d: a request has 1 to %d claims", o.Batch, v1.MaxBatchClaims)
	case o.Batch > 1 && o.Batch*(o.ValueBytes+1024) > v1.MaxBatchBytes:
		return fmt.Errorf("--batch %d with --value-bytes %d does not fit into the %d bytes of a request", o.Batch, o.ValueBytes, v1.MaxBatchBytes)
	case o.Agents < 1:
		return fmt.Errorf("--agents %d: at least one must sign", o.Agents)
	case o.ValueBytes < 1 || o.ValueBytes > 32<<10:
		return fmt.Errorf("--value-bytes %d: 1 to 32768", o.ValueBytes)
	case o.Rate < 0 && o.Rate != Unset:
		return fmt.Errorf("--rate %g: give claims a second, or 0 for a closed loop", o.Rate)
	case o.ReadRate < 0 && o.ReadRate != Unset:
		return fmt.Errorf("--read-rate %g: give reads a second, or 0 for a closed loop", o.ReadRate)
	case o.Duration <= 0 && o.Duration != Unset:
		return fmt.Errorf("--duration %v is not positive", o.Duration)
	case o.Assertions < 1 && o.Assertions != Unset:
		return fmt.Errorf("--assertions %d is not positive", o.Assertions)
	case o.Readers < 1 && o.Readers != Unset:
		return fmt.Errorf("--readers %d is not positive", o.Readers)
	case o.Concurrency < 1 && o.Concurrency != Unset:
		return fmt.Errorf("--concurrency %d is not positive", o.Concurrency)
	case !slices.Contains([]string{"linearizable", "bounded", "local"}, o.Consistency):
		return fmt.Errorf("--consistency %q is none of linearizable, bounded, local", o.Consistency)
	}
	return nil
}

// SetDurations takes durations as on a command line: DURATION for all scenarios,
// SCENARIO=DURATION for one.
func (o *Options) SetDurations(texts []string) error {
	for _, text := range texts {
		scenario, value, single := strings.Cut(text, "=")
		if !single {
			value = text
		} else if !slices.Contains(Scenarios, scenario) {
			return fmt.Errorf("--duration %s: %q is none of %s", text, scenario, strings.Join(Scenarios, ", "))
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("--duration %s: give a time such as 90s, 5m or 1h, or SCENARIO=5m", text)
		}
		if !single {
			o.Duration = d
			continue
		}
		if o.Durations == nil {
			o.Durations = map[string]time.Duration{}
		}
		o.Durations[scenario] = d
	}
	return nil
}

// consistency is that of reads.
func (o *Options) consistency() client.Consistency {
	c := client.Consistency{Level: o.Consistency}
	if c.Level == "bounded" {
		c.MaxStale = o.MaxStale
	}
	return c
}

// plan is what a scenario does, with the choices of the options filled in.
type plan struct {
	duration       time.Duration // of each phase; 0: until the claims are used up
	assertions     int           // 0: no bound
	rate, readRate float64
	readers        int
	concurrency    int
}

// plan is the scenario's own choice where the options leave it open.
func (o *Options) plan(scenario string) plan {
	p := map[string]plan{
		Baseline:   {assertions: 10_000},
		Sustained:  {duration: 5 * time.Minute, rate: 1000},
		Concurrent: {duration: 30 * time.Second, rate: 1000, readRate: 1000, readers: 100},
		Mixed:      {duration: 30 * time.Second},
		Hotspot:    {duration: 30 * time.Second},
		Failover:   {duration: 20 * time.Second, rate: 500},
	}[scenario]
	if scenario != Baseline {
		choose(&p.duration, o.Duration)
	}
	if d, ok := o.Durations[scenario]; ok {
		p.duration = d
	}
	choose(&p.assertions, o.Assertions)
	choose(&p.rate, o.Rate)
	choose(&p.readRate, o.ReadRate)
	choose(&p.readers, o.Readers)
	if p.concurrency = 16; p.rate > 0 {
		p.concurrency = 256
	}
	choose(&p.concurrency, o.Concurrency)
	return p
}

func choose[T int | float64 | time.Duration](to *T, want T) {
	if want != Unset {
		*to = want
	}
}

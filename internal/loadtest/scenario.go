package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

const (
	// mixOf operations of the scenario mixed one is a write.
	mixOf = 5
	// newcomersClaims is after how many claims an agent needs no proof of work any
	// more.
	newcomersClaims = 50
	// mostWindows is about how many points a series has.
	mostWindows = 120
	// readyWithin bounds the start of a node that was killed.
	readyWithin = 2 * time.Minute
)

// scenario is one scenario under way.
type scenario struct {
	name     string
	options  *Options
	plan     plan
	nodes    *nodes
	own      *localcluster.TemporaryCluster // nil on somebody else's cluster
	progress *progress

	corpus           *corpus
	supply           *supply
	ledger           ledger
	quarantined      atomic.Uint64 // of the acknowledged claims
	writers, readers []*client.Client
	result           *Result
}

func (s *scenario) run(ctx context.Context) (*Result, error) {
	s.result = &Result{
		Scenario: s.name, Started: time.Now().UTC(), Agents: s.options.Agents, ValueBytes: s.options.ValueBytes, Consistency: s.options.Consistency,
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	defer s.close()
	stopMemory, stopProcessors := s.nodes.watchMemory(ctx, s.window()), watchProcessors(ctx, s.window())
	err := s.phases(ctx)
	s.result.Memory, s.result.Processors = stopMemory(), stopProcessors()
	if err := errors.Join(err, s.supply.close(), ctx.Err()); err != nil {
		return nil, err
	}
	index := uint64(0)
	for _, c := range s.writers {
		index = max(index, c.SeenIndex())
	}
	s.result.Verification = s.nodes.verify(ctx, s.corpus, &s.ledger, index, s.name == Failover, s.progress)
	s.result.Quarantined = s.quarantined.Load()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.result.Targets = judge(s.result)
	return s.result, nil
}

// prepare makes what the loads need. Without an error, close gives it back.
func (s *scenario) prepare(ctx context.Context) (err error) {
	if s.corpus, err = newCorpus(s.options.Agents, s.options.ValueBytes, s.name == Hotspot); err != nil {
		return err
	}
	if s.writers, err = s.nodes.clients(s.plan.concurrency); err != nil {
		return err
	}
	if s.readers, err = s.nodes.clients(s.plan.readers); err != nil {
		return err
	}
	if err := s.introduce(ctx); err != nil {
		return fmt.Errorf("introduce the agents: %w", err)
	}
	s.supply = newSupply(ctx, s.corpus, s.options.Batch, s.requests())
	s.result.Signing = s.supply.method
	return nil
}

func (s *scenario) close() {
	s.supply.stop()
	for _, c := range append(s.writers, s.readers...) {
		c.Close()
	}
}

// introduce lets agents that owe a proof of work do it before the clock starts.
func (s *scenario) introduce(ctx context.Context) error {
	for _, key := range s.corpus.keys {
		status, err := s.writers[0].AdmissionStatus(ctx, assertion.AgentOf(key))
		if err != nil {
			return err
		}
		if status.Work == nil {
			continue
		}
		var claims []*assertion.Assertion
		for i := range newcomersClaims {
			claim, err := client.NewClaim(s.corpus.name+":introduction", "value", assertion.Number(float64(i))).
				Source(s.corpus.name, assertion.Observational).Sign(key)
			if err != nil {
				return err
			}
			claims = append(claims, claim)
		}
		answer, err := s.writers[0].AssertBatch(ctx, claims)
		if err != nil {
			return err
		}
		for _, r := range answer.Results {
			if r.Status == v1.StatusRefused {
				return fmt.Errorf("a claim was refused: %s: %s", r.Code, r.Detail)
			}
		}
	}
	return nil
}

// phases runs the loads of the scenario.
func (s *scenario) phases(ctx context.Context) error {
	switch s.name {
	case Concurrent:
		s.phase(ctx, "writers alone", true, false)
		s.phase(ctx, "readers alone", false, true)
		s.phase(ctx, "both", true, true)
	case Mixed:
		s.mixed(ctx)
	case Failover:
		return s.failover(ctx)
	default:
		s.phase(ctx, "", true, s.plan.readers > 0)
	}
	return nil
}

// window is how long one point of a series lasts.
func (s *scenario) window() time.Duration {
	const shortest, longest = time.Second, 10 * time.Second
	return min(max(s.plan.duration/mostWindows, shortest), longest).Round(time.Second)
}

// writeLoad is the load of the scenario's writers.
func (s *scenario) writeLoad() Load {
	return Load{
		Workers: s.plan.concurrency, Rate: s.plan.rate / float64(s.options.Batch), Duration: s.plan.duration,
		Count: uint64(math.Ceil(float64(s.plan.assertions) / float64(s.options.Batch))),
		Do:    func(ctx context.Context, worker int, _ uint64) error { return s.write(ctx, s.writers[worker]) },
	}
}

// readLoad is the load of the scenario's readers. They end with the writers if
// the time is not bounded.
func (s *scenario) readLoad() Load {
	return Load{
		Workers: s.plan.readers, Rate: s.plan.readRate, Duration: cmp.Or(s.plan.duration, 24*time.Hour),
		Do: func(ctx context.Context, worker int, k uint64) error { return s.read(ctx, s.readers[worker], k) },
	}
}

// requests is how many requests are to be signed at most; 0: nobody knows.
func (s *scenario) requests() uint64 {
	l := s.writeLoad()
	n := l.Count
	if l.Rate > 0 {
		n = l.size() + 1 // of the scenario mixed, whose fifths may not come out even
	}
	if s.name == Concurrent {
		n *= 2 // two phases write
	}
	return n
}

// phase runs writers, readers, or both.
func (s *scenario) phase(ctx context.Context, name string, write, read bool) {
	p := &Phase{Name: name}
	var writes, reads *Recorder
	w, r := s.writeLoad(), s.readLoad()
	reading, endReading := context.WithCancel(ctx)
	defer endReading()
	var loads sync.WaitGroup
	if write {
		writes = NewRecorder(s.window())
		loads.Go(func() {
			w.Run(ctx, writes)
			if s.plan.duration == 0 {
				endReading()
			}
		})
	}
	if read {
		reads = NewRecorder(s.window())
		loads.Go(func() { r.Run(reading, reads) })
	}
	stop := s.watch(name, writes, reads)
	loads.Wait()
	stop()
	if write {
		p.Writes = writes.Measured(KindWrite, w, s.options.Batch)
	}
	if read {
		p.Reads = reads.Measured(KindRead, r, 1)
	}
	s.result.Phases = append(s.result.Phases, p)
}

// mixed runs writes and reads in turn, by the same workers.
func (s *scenario) mixed(ctx context.Context) {
	w := s.writeLoad()
	all := w
	all.Rate, all.Count = w.Rate*mixOf, w.Count*mixOf
	all.Of = func(k uint64) int { return min(int(k%mixOf), 1) }
	all.Do = func(ctx context.Context, worker int, k uint64) error {
		if all.Of(k) == 0 {
			return s.write(ctx, s.writers[worker])
		}
		return s.read(ctx, s.writers[worker], k)
	}
	writes, reads := NewRecorder(s.window()), NewRecorder(s.window())
	stop := s.watch("", writes, reads)
	all.Run(ctx, writes, reads)
	stop()
	r := w
	r.Rate = w.Rate * (mixOf - 1)
	s.result.Phases = append(s.result.Phases, &Phase{
		Writes: writes.Measured(KindWrite, w, s.options.Batch), Reads: reads.Measured(KindRead, r, 1),
	})
}

// failover kills the leader in the middle of the writes, and starts it again
// afterwards, so that it too must have every claim.
func (s *scenario) failover(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var killed *localcluster.Node
	var fault error
	var killer sync.WaitGroup
	killer.Go(func() {
		var event Event
		if killed, event, fault = killLeader(ctx, s.own, s.half); fault != nil {
			cancel()
			return
		}
		s.result.Events = append(s.result.Events, event)
	})
	s.phase(ctx, "", true, s.plan.readers > 0)
	killer.Wait()
	if fault != nil {
		return fault
	}
	if err := killed.Start(); err != nil {
		return err
	}
	ready, cancelReady := context.WithTimeout(ctx, readyWithin)
	defer cancelReady()
	return s.own.WaitReady(ready, killed)
}

// half says whether half of the time is over, or half of the claims are
// acknowledged.
func (s *scenario) half(elapsed time.Duration) bool {
	l := s.writeLoad()
	operations := l.Count
	if l.Rate > 0 {
		operations = l.size()
	}
	half := operations * uint64(s.options.Batch) / 2
	return half > 0 && s.ledger.acknowledged() >= half || s.plan.duration > 0 && elapsed >= s.plan.duration/2
}

// write sends the next request. The wait for its signature counts too.
func (s *scenario) write(ctx context.Context, c *client.Client) error {
	r, err := s.supply.take(ctx)
	if err != nil {
		return err
	}
	if len(r.hashes) == 1 {
		answer, err := c.AssertJSON(ctx, r.body)
		if err != nil {
			return err
		}
		return s.settle(r, 0, &answer.Hash, answer.Status)
	}
	answer, err := c.AssertNDJSON(ctx, r.body)
	if err != nil {
		return err
	}
	if len(answer.Results) != len(r.hashes) {
		return fmt.Errorf("%d results for %d claims", len(answer.Results), len(r.hashes))
	}
	var faults []error
	for i, result := range answer.Results {
		if result.Status == v1.StatusRefused {
			faults = append(faults, fmt.Errorf("claim %d was refused: %s: %s", r.first+uint64(i), result.Code, result.Detail))
			continue
		}
		faults = append(faults, s.settle(r, i, result.Hash, result.Status))
	}
	return errors.Join(faults...)
}

// settle notes that a claim is acknowledged.
func (s *scenario) settle(r request, i int, hash *assertion.Hash, status v1.Status) error {
	if hash == nil || *hash != r.hashes[i] {
		return fmt.Errorf("claim %s was answered with another hash, status %s", r.hashes[i], status)
	}
	s.ledger.acknowledge(r.first + uint64(i))
	if status == v1.StatusQuarantined {
		s.quarantined.Add(1)
	}
	return nil
}

// read asks for a claim, for the values of a question, or for the claims on a
// subject, in turn.
func (s *scenario) read(ctx context.Context, c *client.Client, k uint64) error {
	i, ok := s.ledger.any()
	if !ok {
		i = k // nothing is there yet, which is an answer too
	}
	want := s.options.consistency()
	subject, predicate := s.corpus.question(i)
	switch k % 3 {
	case 0:
		if !ok {
			break
		}
		claim, err := s.corpus.claim(i)
		if err != nil {
			return err
		}
		_, err = c.Get(ctx, claim.ContentHash(), want)
		if errors.Is(err, client.Code(v1.CodeAssertionNotFound)) && want.Level != "linearizable" {
			return nil // the node may be behind
		}
		return err
	case 1:
		_, err := c.Skeptic(ctx, client.Query{Subject: subject, Predicate: predicate, Consistency: want})
		return err
	}
	_, err := c.Query(ctx, client.Query{Subject: subject, Limit: 10, Consistency: want})
	return err
}

// watch shows how far the phase is.
func (s *scenario) watch(phase string, writes, reads *Recorder) (stop func()) {
	start := time.Now()
	var before glance
	last := start
	return s.progress.show(func() string {
		now := time.Now()
		line := s.name
		if phase != "" {
			line += ", " + phase
		}
		line += fmt.Sprintf(": %v", now.Sub(start).Round(time.Second))
		if s.plan.duration > 0 {
			line += fmt.Sprintf(" of %v", s.plan.duration)
		}
		if writes != nil {
			g := writes.glance(now)
			batch := uint64(s.options.Batch)
			line += fmt.Sprintf("; %d claims, %.0f/s, p99 %.1f ms, longest gap %d ms, %d failed",
				g.done*batch, float64((g.done-before.done)*batch)/now.Sub(last).Seconds(), g.p99, g.longest.Milliseconds(), g.failed)
			before, last = g, now
		}
		if reads != nil {
			g := reads.glance(now)
			line += fmt.Sprintf("; %d reads, p99 %.1f ms, %d failed", g.done, g.p99, g.failed)
		}
		return line
	})
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

const (
	// writers write at the same time while the leader is killed; it happens after
	// killAfter acknowledged claims, and the ingestion goes on to ingestTotal.
	writers     = 8
	killAfter   = 600
	ingestTotal = 2400
)

type demo struct {
	cluster *localcluster.Cluster
	bin     string
	dir     string
	step    int

	client *client.Client
	killed *localcluster.Node

	mu           sync.Mutex
	acknowledged []assertion.Hash
}

func say(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }

func (d *demo) start(ctx context.Context) error {
	if err := d.cluster.Start(); err != nil {
		return err
	}
	if err := d.cluster.WaitReady(ctx); err != nil {
		return err
	}
	var err error
	if d.client, err = client.New(d.cluster.URLs(), client.WithAttempts(200)); err != nil {
		return err
	}
	c, err := d.client.Cluster(ctx, 0)
	if err != nil {
		return err
	}
	say("nodes   %s", strings.Join(d.cluster.URLs(), "  "))
	say("cluster %s, leader %s, term %d", c.ClusterID, c.Leader, c.Term)
	return nil
}

func (d *demo) ingest(ctx context.Context) error {
	args := []string{"--with-conflicts", "--keyring", filepath.Join(d.dir, "keys")}
	for _, url := range d.cluster.URLs() {
		args = append(args, "--api-url", url)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(d.bin, "pharma-ingest"), args...).CombinedOutput()
	const shown = 8
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i, line := range lines {
		switch {
		case err != nil || i < shown || i == len(lines)-1:
			say("%.160s", line)
		case i == shown:
			say("…")
		}
	}
	return err
}

func (d *demo) assert(ctx context.Context) error {
	key, err := client.GenerateKey()
	if err != nil {
		return err
	}
	claim, err := client.NewClaim("Semaglutide", "nausea_rate", assertion.Number(39.0)).
		Source("demo reader", assertion.Anecdotal).Confidence(0.4).Metadata(map[string]any{"synthetic": true}).Sign(key)
	if err != nil {
		return err
	}
	answer, err := d.client.Assert(ctx, claim)
	if err != nil {
		return err
	}
	say("hash %s, %s at log index %d", answer.Hash, answer.Status, answer.Index)
	d.acknowledged = append(d.acknowledged, answer.Hash)
	if answer.Status != v1.StatusCreated {
		return fmt.Errorf("status %s, created was expected", answer.Status)
	}
	return d.refuse(ctx, claim)
}

// refuse shows that a claim whose content was changed after signing is not
// taken.
func (d *demo) refuse(ctx context.Context, claim *assertion.Assertion) error {
	forged := *claim
	forged.Object = assertion.Number(3.9)
	_, err := d.client.Assert(ctx, &forged)
	var refusal *client.Error
	if !errors.As(err, &refusal) || refusal.Code != assertion.CodeSignatureInvalid {
		return fmt.Errorf("a forged claim was not refused as it should be: %w", err)
	}
	say("the same signature on another value: %d %s", refusal.Status, refusal.Code)
	return nil
}

func (d *demo) query(ctx context.Context) error {
	answer, err := d.client.Query(ctx, client.Query{Subject: "Semaglutide", Limit: 5})
	if err != nil {
		return err
	}
	if len(answer.Assertions) == 0 {
		return errors.New("no claims came back")
	}
	for i := range answer.Assertions {
		a := &answer.Assertions[i]
		say("%-26s %-44.44s %-13s confidence %.2f", a.Predicate, a.Object, a.SourceClass, a.Confidence)
	}
	if answer.NextCursor != "" {
		say("… and more, by next_cursor")
	}
	return nil
}

func (d *demo) skeptic(ctx context.Context) error {
	s, err := d.client.Skeptic(ctx, client.Query{Subject: "Semaglutide", Predicate: "nausea_rate"})
	if err != nil {
		return err
	}
	say("status %s, conflict_score %.3f, disagreement %.3f, %d voices", s.Status, s.ConflictScore, s.Disagreement, s.Voices)
	for i := range s.Claims {
		c := &s.Claims[i]
		var classes []string
		for _, t := range c.Tiers {
			classes = append(classes, t.SourceClass.String())
		}
		say("%6s %%  share %5.1f %%  voices %d  %s", c.Object, 100*c.Share, c.Voices, strings.Join(classes, ", "))
	}
	if s.ConflictScore <= 0 || len(s.Claims) < 2 {
		return errors.New("the question is not contested, but it should be")
	}
	return nil
}

func (d *demo) layered(ctx context.Context) error {
	l, err := d.client.Layered(ctx, client.Query{Subject: "Semaglutide", Predicate: "nausea_rate"})
	if err != nil {
		return err
	}
	for _, t := range l.Tiers {
		say("tier %d %-14s says %s %% (share %.0f %% in the tier, %d voices)", t.Tier, t.SourceClass, t.Winner.Object, 100*t.Winner.Share, t.Voices)
	}
	if l.Winner == nil {
		return errors.New("there is no answer")
	}
	say("overall: %s %%; cross-tier conflict %.3f", l.Winner.Object, l.CrossTierConflict)
	return nil
}

func (d *demo) health(ctx context.Context) error {
	for i, url := range d.cluster.URLs() {
		h, err := d.caughtUp(ctx, i)
		if err != nil {
			return err
		}
		say("%s  %-5s %-8s assertions_count %d, log index %d", url, h.Node, h.Role, h.AssertionsCount, h.Index)
		if h.AssertionsCount == 0 {
			return fmt.Errorf("%s holds no claims", url)
		}
	}
	return nil
}

// caughtUp waits until a node has applied whatever this program has seen.
func (d *demo) caughtUp(ctx context.Context, endpoint int) (*v1.Health, error) {
	for {
		h, err := d.client.Health(ctx, endpoint)
		if err == nil && h.Index >= d.client.SeenIndex() {
			return h, nil
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("%s does not catch up: %w", d.client.Endpoints()[endpoint], err)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// killLeader ingests through all nodes and kills the leader on the way. Every
// claim is sent until it is acknowledged, as a client does that does not want
// to lose anything.
func (d *demo) killLeader(ctx context.Context) error {
	leader, err := d.leader(ctx)
	if err != nil {
		return err
	}
	key, err := client.GenerateKey()
	if err != nil {
		return err
	}
	numbers := make(chan int)
	faults := make(chan error, writers)
	half := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	var longest time.Duration
	last := time.Now()
	for range writers {
		wg.Go(func() {
			for i := range numbers {
				claim, err := client.NewClaim(fmt.Sprintf("Sample:%d", i%50), "measured_value", assertion.Number(float64(i))).
					Source(fmt.Sprintf("lab %d", i), assertion.Observational).Confidence(0.7).Sign(key)
				if err == nil {
					var answer *v1.AssertResponse
					if answer, err = d.client.Assert(ctx, claim); err == nil {
						d.mu.Lock()
						d.acknowledged = append(d.acknowledged, answer.Hash)
						longest = max(longest, time.Since(last))
						last = time.Now()
						if len(d.acknowledged) >= killAfter {
							once.Do(func() { close(half) })
						}
						d.mu.Unlock()
						continue
					}
				}
				faults <- err
				return
			}
		})
	}
	killed := make(chan error, 1)
	go func() {
		select {
		case <-half:
			killed <- leader.Kill()
		case <-ctx.Done():
			killed <- context.Cause(ctx)
		}
	}()
	for i := range ingestTotal {
		select {
		case numbers <- i:
			continue
		case err := <-faults:
			close(numbers)
			return err
		case <-ctx.Done():
		}
		break
	}
	close(numbers)
	wg.Wait()
	if err := <-killed; err != nil {
		return fmt.Errorf("kill the leader: %w", err)
	}
	select {
	case err := <-faults:
		return err
	default:
	}
	d.killed = leader
	now, err := d.leader(ctx)
	if err != nil {
		return err
	}
	say("%s, the leader, was killed after %d acknowledged claims; %s leads now", leader.Name, killAfter, now.Name)
	say("%d claims acknowledged in all; the longest pause between two acknowledgements was %.2f s", len(d.acknowledged), longest.Seconds())
	return nil
}

// leader waits until the running nodes name a leader that runs.
func (d *demo) leader(ctx context.Context) (*localcluster.Node, error) {
	for {
		for i, n := range d.cluster.Nodes {
			if !n.Running() {
				continue
			}
			h, err := d.client.Health(ctx, i)
			if err != nil || h.Role != "leader" {
				continue
			}
			return n, nil
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("no leader: %w", err)
		}
	}
}

func (d *demo) checkSurvivors(ctx context.Context) error {
	for i, n := range d.cluster.Nodes {
		if n == d.killed {
			continue
		}
		if err := d.holdsAll(ctx, i, n); err != nil {
			return err
		}
	}
	return nil
}

// holdsAll reads every acknowledged claim from one node.
func (d *demo) holdsAll(ctx context.Context, endpoint int, n *localcluster.Node) error {
	if _, err := d.caughtUp(ctx, endpoint); err != nil {
		return err
	}
	one, err := client.New([]string{n.URL}, client.WithAttempts(20))
	if err != nil {
		return err
	}
	defer one.Close()
	want := client.Consistency{Level: "local", MinIndex: d.client.SeenIndex()}
	for _, h := range d.acknowledged {
		if _, err := one.Get(ctx, h, want); err != nil {
			return fmt.Errorf("LOST: %s does not hold the acknowledged claim %s: %w", n.Name, h, err)
		}
	}
	say("%s holds all %d", n.Name, len(d.acknowledged))
	return nil
}

func (d *demo) restart(ctx context.Context) error {
	if err := d.killed.Start(); err != nil {
		return err
	}
	if err := d.cluster.WaitReady(ctx, d.killed); err != nil {
		return err
	}
	for i, n := range d.cluster.Nodes {
		if n == d.killed {
			if err := d.holdsAll(ctx, i, n); err != nil {
				return err
			}
		}
	}
	return d.sameDigest(ctx)
}

// sameDigest waits until all nodes have applied the same index and compares
// their digests.
func (d *demo) sameDigest(ctx context.Context) error {
	for {
		var seen []*v1.Cluster
		for i := range d.cluster.Nodes {
			c, err := d.client.Cluster(ctx, i)
			if err != nil {
				return err
			}
			seen = append(seen, c)
		}
		if seen[0].AppliedIndex == seen[1].AppliedIndex && seen[1].AppliedIndex == seen[2].AppliedIndex {
			for _, c := range seen {
				say("%s  log index %d  assertions %d  digest %s", c.Node, c.AppliedIndex, c.AssertionsCount, c.Digest)
			}
			if seen[0].Digest != seen[1].Digest || seen[1].Digest != seen[2].Digest {
				return errors.New("the digests differ")
			}
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("the nodes do not come to the same log index: %w", err)
		}
	}
}

// showLogs prints the last lines of each node's log after a failure.
func (d *demo) showLogs() {
	const lines = 15
	for _, n := range d.cluster.Nodes {
		raw, err := os.ReadFile(filepath.Join(d.dir, n.Name+".log"))
		if err != nil {
			continue
		}
		all := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
		fmt.Fprintf(os.Stderr, "--- last lines of %s\n%s\n", n.Name, bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
	}
}

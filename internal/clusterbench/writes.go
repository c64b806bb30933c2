package main

import (
	"context"
	"fmt"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/internal/localcluster"
	"github.com/stemedb/stemedb/node"
)

// measureWrites measures raft with a log store alone, the leader, and a follower.
// Each round has a new cluster, so that none has more stored than another.
func measureWrites(ctx context.Context, c *config, t *table) error {
	return eachRound(ctx, c, t, writesOf, c.logStores(node.LogBolt, node.LogWAL))
}

// eachRound measures with each log store, as often as there are rounds.
func eachRound(ctx context.Context, c *config, t *table, measure func(context.Context, *config, *table, string) error, stores []string) error {
	for range c.rounds {
		if err := eachStore(ctx, c, t, measure, stores); err != nil {
			return err
		}
	}
	return nil
}

// eachStore measures with each log store.
func eachStore(ctx context.Context, c *config, t *table, measure func(context.Context, *config, *table, string) error, stores []string) error {
	for _, store := range stores {
		if err := measure(ctx, c, t, store); err != nil {
			return err
		}
	}
	return nil
}

func writesOf(ctx context.Context, c *config, t *table, store string) error {
	bare, err := measureBare(ctx, c, store)
	if err != nil {
		return fmt.Errorf("raft and %s alone: %w", store, err)
	}
	n, err := startNodes(ctx, c, store)
	if err != nil {
		return err
	}
	defer n.Close()
	for i, writers := range c.concurrency {
		m, err := c.write(ctx, n.leader, writers, 1)
		if err != nil {
			return err
		}
		t.row(fmt.Sprintf("raft and %s alone, c=%d", store, writers)).add(bare[i], nil)
		t.row(fmt.Sprintf("%s, leader, c=%d", store, writers)).add(m, bare[i])
	}
	// The follower stands beside the leader as it is now: what was written meanwhile
	// tells on both.
	first, err := c.write(ctx, n.leader, clients, 1)
	if err != nil {
		return err
	}
	second, err := c.write(ctx, n.follower, clients, 1)
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("%s, follower, c=%d, to the leader", store, clients)).add(second, first)
	return nil
}

// nodes are three of a new cluster.
type nodes struct {
	*localcluster.TemporaryCluster
	leader, follower string // URLs
	source           *source
}

func startNodes(ctx context.Context, c *config, store string) (*nodes, error) {
	program, err := localcluster.Build(ctx, "cmd/stemedb")
	if err != nil {
		return nil, err
	}
	cluster, err := localcluster.TemporaryOf(ctx, program, c.dir, 3, map[string]string{"log-store": store})
	if err != nil {
		return nil, err
	}
	n := &nodes{TemporaryCluster: cluster}
	if err := n.prepare(ctx, c); err != nil {
		_ = cluster.Close()
		return nil, err
	}
	return n, nil
}

func (n *nodes) prepare(ctx context.Context, c *config) error {
	first, other, err := loadtest.Roles(ctx, n.URLs())
	if err != nil {
		return err
	}
	n.leader, n.follower = n.Nodes[first].URL, n.Nodes[other].URL
	n.source, err = newSource(c)
	return err
}

// mostClaims bounds a measurement: so many claims can be signed before the clock
// starts.
const mostClaims = 100_000

// write keeps writers busy at one node with requests of so many claims each, and
// reads back what it has acknowledged.
func (c *config) write(ctx context.Context, url string, writers, batch int) (*loadtest.Measurement, error) {
	o := loadtest.Defaults()
	o.URLs, o.Scenarios = []string{url}, []string{loadtest.Baseline}
	o.Durations = map[string]time.Duration{loadtest.Baseline: c.duration}
	o.Assertions, o.Concurrency, o.ValueBytes, o.Batch = mostClaims, writers, c.valueBytes, batch
	report, err := loadtest.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	result := report.Results[0]
	m := result.Phases[0].Writes
	switch v := result.Verification; {
	case result.Quarantined > 0:
		return nil, fmt.Errorf("%d claims were quarantined", result.Quarantined)
	case m.Failed > 0:
		return nil, fmt.Errorf("%d writes failed: %s", m.Failed, m.FirstFailure)
	case v.Lost+v.Unread > 0:
		return nil, fmt.Errorf("%d acknowledged claims are lost and %d could not be read: %s", v.Lost, v.Unread, v.FirstFault)
	}
	return m, nil
}

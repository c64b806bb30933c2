package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/internal/localcluster"
	"github.com/stemedb/stemedb/node"
)

const (
	// attempts is how often a writer tries again while there is no leader.
	attempts = 500
	// stopWithin bounds the stop of a leader in good order.
	stopWithin = 30 * time.Second
)

// measureGaps measures for how long nothing is acknowledged when the leader is
// killed, and when it is stopped in good order. It starts again before the next.
func measureGaps(ctx context.Context, c *config, t *table) error {
	return eachStore(ctx, c, t, gapsOf, c.logStores(node.LogBolt))
}

func gapsOf(ctx context.Context, c *config, t *table, store string) error {
	n, err := startNodes(ctx, c, store)
	if err != nil {
		return err
	}
	defer n.Close()
	first := c.hot + few // the claims before are those of the two questions
	ways := []struct {
		name string
		end  func(*localcluster.Node) error
		gaps []float64
	}{
		{name: "SIGKILL", end: (*localcluster.Node).Kill},
		{name: "SIGTERM", end: func(n *localcluster.Node) error { return n.Stop(stopWithin) }},
	}
	for range c.rounds {
		for i := range ways {
			w := &ways[i]
			m, err := n.writeWhileLeaderEnds(ctx, c, first, w.end)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			first += int(m.Operations)
			w.gaps = append(w.gaps, m.LongestGapMS)
		}
	}
	for _, w := range ways {
		t.fact("%s, %d writers, longest time without an acknowledgement, %s of the leader: %.0f ms (median of %.0f)", store, clients, w.name, median(w.gaps), w.gaps)
	}
	return nil
}

// writeWhileLeaderEnds writes claims from number first on, ends the leader half
// way, starts it again, and reads back what was acknowledged.
func (n *nodes) writeWhileLeaderEnds(ctx context.Context, c *config, first int, end func(*localcluster.Node) error) (*loadtest.Measurement, error) {
	db, err := client.New(n.URLs(), client.WithAttempts(attempts))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	leader, _, err := loadtest.Roles(ctx, n.URLs())
	if err != nil {
		return nil, err
	}
	var ending sync.WaitGroup
	var fault error
	ending.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(c.duration / 2):
			fault = end(n.Nodes[leader])
		}
	})
	var mu sync.Mutex
	var acknowledged []assertion.Hash
	m, err := measured(ctx, c, loadtest.Load{Workers: clients, Duration: c.duration, Do: func(ctx context.Context, _ int, k uint64) error {
		claim, err := n.source.signed(first + int(k))
		if err != nil {
			return err
		}
		answer, err := db.Assert(ctx, claim)
		if err != nil {
			return err
		}
		if answer.Status == v1.StatusQuarantined {
			return fmt.Errorf("claim %s was quarantined", answer.Hash)
		}
		mu.Lock()
		defer mu.Unlock()
		acknowledged = append(acknowledged, answer.Hash)
		return nil
	}}, loadtest.KindWrite, 1)
	ending.Wait()
	if err != nil {
		return nil, err
	}
	if fault != nil {
		return nil, fault
	}
	if err := n.Nodes[leader].Start(); err != nil {
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := n.WaitReady(ready); err != nil {
		return nil, err
	}
	_, err = measured(ctx, c, loadtest.Load{Workers: clients, Count: uint64(len(acknowledged)), Do: func(ctx context.Context, _ int, k uint64) error {
		if _, err := db.Get(ctx, acknowledged[k], client.Consistency{}); err != nil {
			return fmt.Errorf("LOST: the acknowledged claim %s cannot be read: %w", acknowledged[k], err)
		}
		return nil
	}}, loadtest.KindRead, 1)
	return m, err
}

package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/node"
)

// batches are how many claims the requests have.
var batches = []int{10, 100}

// measureBatches measures batches at the leader beside what the machine's
// processors can verify if they do nothing else.
func measureBatches(ctx context.Context, c *config, t *table) error {
	return eachRound(ctx, c, t, batchesOf, c.logStores(node.LogBolt))
}

func batchesOf(ctx context.Context, c *config, t *table, store string) error {
	n, err := startNodes(ctx, c, store)
	if err != nil {
		return err
	}
	defer n.Close()
	for _, batch := range batches {
		limit, err := verifications(ctx, c, batch)
		if err != nil {
			return err
		}
		m, err := c.write(ctx, n.leader, clients, batch)
		if err != nil {
			return err
		}
		t.row(fmt.Sprintf("signatures alone, %d at a time, all CPUs", batch)).add(limit, nil)
		t.row(fmt.Sprintf("%s, batches of %d, c=%d", store, batch, clients)).add(m, limit)
	}
	return nil
}

// verifications verifies batches of signed claims, as a node does before it
// proposes them, on every processor.
func verifications(ctx context.Context, c *config, batch int) (*loadtest.Measurement, error) {
	claims := make([]*assertion.Assertion, batch)
	for i := range claims {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		if claims[i], err = client.NewClaim("Sample", "value", assertion.Number(float64(i))).
			Source("bench", assertion.Observational).Sign(key); err != nil {
			return nil, err
		}
	}
	load := loadtest.Load{Workers: runtime.NumCPU(), Duration: c.duration / 2, Do: func(context.Context, int, uint64) error {
		for _, err := range assertion.VerifyBatch(claims, assertion.VerifyOptions{}) {
			if err != nil {
				return err
			}
		}
		return nil
	}}
	return measured(ctx, c, load, loadtest.KindWrite, batch)
}

package main

import (
	"context"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/node"
)

// readable is how many claims there are to be read.
const readable = 10_000

// measureReads measures reads of one claim by its hash.
func measureReads(ctx context.Context, c *config, t *table) error {
	n, err := startNodes(ctx, c, c.logStores(node.LogBolt)[0])
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.source.store(ctx, n, readable); err != nil {
		return err
	}
	hashes := make([]assertion.Hash, readable)
	for i := range hashes {
		if hashes[i], err = n.source.hash(i); err != nil {
			return err
		}
	}
	for range c.rounds {
		for _, at := range []struct{ url, role string }{{n.leader, "leader"}, {n.follower, "follower"}} {
			for _, level := range []string{"linearizable", "local"} {
				m, err := readClaims(ctx, c, at.url, level, hashes)
				if err != nil {
					return fmt.Errorf("%s reads from the %s: %w", level, at.role, err)
				}
				t.row(fmt.Sprintf("%s, %s, c=%d", level, at.role, clients)).add(m, nil)
			}
		}
	}
	return nil
}

func readClaims(ctx context.Context, c *config, url, level string, hashes []assertion.Hash) (*loadtest.Measurement, error) {
	db, err := client.New([]string{url})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return measured(ctx, c, loadtest.Load{Workers: clients, Duration: c.duration, Do: func(ctx context.Context, _ int, k uint64) error {
		_, err := db.Get(ctx, hashes[k%uint64(len(hashes))], client.Consistency{Level: level})
		return err
	}}, loadtest.KindRead, 1)
}
